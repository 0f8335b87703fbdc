# pyright: basic, reportOptionalMemberAccess=false
"""A run directory whose job is extended, and what its log says then."""

import pytest
from synthetic_sweep import end, result

from rungwise.run_log.driver_lock import hold_driver_lock
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import (
    LOG_VERSION,
    CheckpointRow,
    DecisionRow,
    EndRow,
    FinalRow,
    Row,
    TrialRow,
)
from rungwise.run_log.ledger_lines import list_ledger_lines
from rungwise.run_log.outcome import Outcome
from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import load_job, make_job
from tune_jobs.session.prepare import extend_run, make_job_row, prepare_job
from tune_jobs.session.remaining_work import find_remaining_work

JOB = {
    "env": "CartPole-v1",
    "iterations": 8,
    "trials": 4,
    "grace": 2,
    "search": {"lr": {"loguniform": [1e-4, 1e-2]}},
}


def stop(trial, rung, score):
    return DecisionRow(
        trial=trial, iteration=rung, rung=rung, score=score, cut=2.0, rank=2, of=2, keep=False,
        sentence=f"rung {rung}: {score} is below 2",
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """A finished sweep: two trials to the end, one ended at a rung, one by health."""
    job = prepare_job(make_job(JOB), tmp_path / "run")
    rows: list[Row] = [make_job_row(job, tmp_path / "run", [])]
    rows += [TrialRow(trial=f"{i:02d}", config=c) for i, c in enumerate(job.sample_configs())]
    decision = stop("02", 2, 1.0)
    for trial, reached in (("00", 8), ("01", 8), ("02", 2), ("03", 3)):
        rows += [result(trial, reached, 1.0)]
        rows.append(CheckpointRow(trial=trial, iteration=reached, path=f"trials/{trial}"))
    rows += [end("00", 8, "budget"), end("01", 8, "budget"), end("03", 3, "health")]
    rows += [decision, decision.make_end()]
    for row in rows:
        EventLog(tmp_path / "run" / "events.jsonl").append(row)
    return tmp_path / "run"


def begin(run):
    """The rows of a run, and the start of its next session."""
    rows = read_event_log(run / "events.jsonl")
    return [*rows, make_job_row(load_job(run / "job.yaml"), run, rows)]


@pytest.mark.parametrize(
    ("fields", "reopened", "said"),
    [
        ({"trials": 8}, {"02"}, "trials from 4 to 8"),
        ({"iterations": 16}, {"00", "01"}, "iterations from 8 to 16"),
        (
            {"trials": 8, "iterations": 16, "search": {"lr": {"uniform": [0.1, 0.2]}}},
            {"00", "01", "02"},
            "trials from 4 to 8, iterations from 8 to 16, search.lr from "
            "{'loguniform': [0.0001, 0.01]} to {'uniform': [0.1, 0.2]}",
        ),
    ],
)
def test_an_extended_run_takes_up_what_its_budget_concerns(run, fields, reopened, said):
    extend_run(run, fields)
    assert extend_run(run, fields) == load_job(run / "job.yaml"), "twice is once"
    rows = begin(run)
    assert (rows[-1].extension, rows[-1].version) == (said, LOG_VERSION)
    outcome = Outcome.from_rows(rows)
    assert {trial.id for trial in outcome.trials if trial.end is None} == reopened
    assert {plan.trial for plan in find_remaining_work(run, rows).plans} == reopened
    trials, iterations = outcome.job.trials, outcome.job.iterations
    assert outcome.budget == trials * iterations
    lines = [line for line in list_ledger_lines(rows) if line["kind"] != "decision"]
    saved = sum(line["iterations_saved"] for line in lines)
    assert outcome.compute_saved == saved / outcome.budget
    run_so_far = sum(line["iterations_run"] for line in lines)
    assert run_so_far + saved + outcome.iterations_open == outcome.budget
    # Killed right after its first row: the next session has the same to do.
    again = [*rows, make_job_row(load_job(run / "job.yaml"), run, rows)]
    assert again[-1].extension == ""
    assert {plan.trial for plan in find_remaining_work(run, again).plans} == reopened


def play_final(trial, score):
    about = {"checkpoint": "c", "metric": "mean", "mode": "max", "error": 0, "episodes": 2}
    return FinalRow(trial=trial, score=score, seed=1, **about)


@pytest.mark.parametrize(
    "row",
    [result("00", 9, 30.0), TrialRow(trial="00r", config={"lr": 0.1}, repeats="00")],
    ids=["a finalist continues", "settings are repeated"],
)
def test_finals_count_until_other_policies_could_win_them(run, row):
    rows = [*begin(run), play_final("00", 9.0), play_final("02", 1.0)]
    assert Outcome.from_rows(rows).best.id == "00"
    outcome = Outcome.from_rows([*rows, row])
    assert not outcome.finals
    assert outcome.best.id == outcome.ranked[0].id != "02"


def test_a_stop_that_the_kill_left_without_its_end_waits_again(run):
    rows = [row for row in begin(run) if not isinstance(row, EndRow) or row.trial != "02"]
    missing = find_remaining_work(run, rows).missing_rows
    assert [row.reason for row in missing if isinstance(row, EndRow)] == ["asha"]
    extend_run(run, {"trials": 8})
    rows = [*rows[:-1], make_job_row(load_job(run / "job.yaml"), run, rows)]
    work = find_remaining_work(run, rows)
    assert not work.missing_rows and {plan.trial for plan in work.plans} == {"02"}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"trials": 3}, "trials is 3, but this run has 4 already: give at least 4"),
        ({"iterations": 8, "trials": 2}, "trials is 2, but this run has 4"),
        ({"iterations": 7}, "iterations is 7, but a trial has run 8 already: give more"),
        ({"seed": 1}, "extended by seed 1"),
        ({"trials": 8, "search": {"lr": {"uniform": [-1, 1]}}}, "search.lr must be"),
    ],
)
def test_a_budget_below_what_has_run_is_refused(run, fields, sentence):
    before = (run / "job.yaml").read_text()
    with pytest.raises(InputError, match=sentence):
        extend_run(run, fields)
    assert (run / "job.yaml").read_text() == before


def test_a_run_that_becomes_wide_repeats_its_best(run):
    extended = extend_run(run, {"trials": 40})
    assert (extended.num_repeats, len(extended.name_trials())) == (3, 37)


def test_a_run_with_a_driver_is_not_extended(run):
    with hold_driver_lock(run), pytest.raises(InputError, match="is being driven by"):
        extend_run(run, {"trials": 8})
