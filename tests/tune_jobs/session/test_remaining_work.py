# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false
"""What a resume runs again, and from where."""

import shutil

import pytest
from synthetic_sweep import job_row

from algos.checkpoint import write_manifest
from rungwise.run_log.events import CheckpointRow, EndRow, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.schedulers.asha import make_decision
from tune_jobs.schedulers.successive_halving import Bracket
from tune_jobs.session.remaining_work import find_remaining_work


@pytest.fixture
def run(tmp_path):
    """A run directory with the checkpoints 1, 2 and 3."""
    for name in ("1", "2", "3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(f"weights of {name}")
        write_manifest(tmp_path / name)
    return tmp_path


SAVED = [CheckpointRow(trial="00", iteration=i, path=str(i)) for i in (1, 2, 3)]


def drawn(*trials):
    return [job_row(), *(TrialRow(trial=trial, config={"lr": 0.1}) for trial in trials)]


def end(trial, reason):
    return EndRow(trial=trial, iteration=3, reason=reason)


def test_resume_runs_all_trials_except_finished_ones(run):
    rows = [*drawn("00", "01", "02", "03", "04", "05"), *SAVED]
    rows += [end("01", "asha"), end("02", "interrupted"), end("03", "error"), end("04", "error")]
    rows += [end("04", "budget")]  # tried again by an earlier resume, and finished
    left = {plan.trial: plan.resume_from for plan in find_remaining_work(run, rows).plans}
    assert left == {"00": str(run / "3"), "02": "", "03": "", "05": ""}


def flip(file):
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


def truncate(file):
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [flip, truncate])
def test_damaged_checkpoint_is_named_and_the_earlier_one_used(run, harm):
    harm(run / "3" / "weights")
    left = find_remaining_work(run, [*drawn("00"), *SAVED])
    assert left.plans[0].resume_from == str(run / "2")
    (said,) = left.missing_rows
    assert f"{run / '3' / 'weights'} is missing or damaged" in said.evidence
    assert "2 is used" in said.remedy


def test_trial_restarts_if_all_checkpoints_are_damaged(run):
    for name in "123":
        flip(run / name / "weights")
    left = find_remaining_work(run, [*drawn("00"), *SAVED])
    assert left.plans[0].resume_from == ""
    assert "starts from the beginning" in left.missing_rows[0].remedy
    assert left.missing_rows[0].evidence.count("damaged") == 3


def test_a_checkpoint_deleted_to_make_room_is_no_damage(run):
    shutil.rmtree(run / "3")
    left = find_remaining_work(run, [*drawn("00"), *SAVED])
    assert (left.plans[0].resume_from, left.missing_rows) == (str(run / "2"), [])


def test_stop_decision_holds_if_a_kill_cut_off_the_end_row(run):
    rungs = Bracket([3], "max", 3, ["00", "01"])
    verdicts = [rungs.enter_rung(trial, 3, score) for trial, score in (("01", 2.0), ("00", 1.0))]
    rows = list(map(make_decision, [*verdicts, *rungs.end_hopeless()]))
    left = find_remaining_work(run, [*drawn("00", "01"), *SAVED, *rows])
    assert [plan.trial for plan in left.plans] == ["01"]
    assert [(row.trial, row.reason) for row in left.missing_rows] == [("00", "asha")]


def test_failed_trial_waits_again_after_a_resume():
    rows = [*drawn("00"), end("00", "error")]
    assert Outcome.from_rows(rows).trials[0].end_reason == "error"
    assert Outcome.from_rows([*rows, job_row(resumed=True)]).trials[0].end_reason is None
