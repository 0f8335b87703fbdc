# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
"""What a driver leaves behind however it ends; Tune is replaced, so no Ray starts."""

import pyarrow.parquet as pq
import pytest

from cluster.queue.orders import get_run_state
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import EndRow, JobEndRow, JobRow, TrialRow
from rungwise.run_log.ledger import LOG_BYTES
from rungwise.validation import InputWarning
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.session import run_lifecycle, tune_session, winner
from tune_jobs.session.prepare import prepare_job
from tune_jobs.session.run_lifecycle import DriverError, drive
from tune_jobs.session.tune_session import TuneSession

FIELDS = {"env": "CartPole-v1", "iterations": 3, "trials": 2, "evaluation_episodes": 8}
FIELDS |= {"search": {"lr": {"loguniform": [1e-4, 1e-3]}}, "scheduler": "none"}


@pytest.fixture
def directory(tmp_path):
    prepare_job(make_job(FIELDS), tmp_path / "run")
    return tmp_path / "run"


def driven_with(monkeypatch, directory, tune):
    monkeypatch.setattr(TuneSession, "run", tune)
    drive(directory, lambda row: None)
    return read_event_log(directory / "events.jsonl")


def fails(error):
    def tune(*_):
        raise error

    return tune


def finishes(session, plans):
    for plan in plans:
        session.recorder.write(EndRow(trial=plan.trial, iteration=3, reason="budget"))


def kinds(rows, kind):
    return [row for row in rows if isinstance(row, kind)]


def test_an_interrupted_driver_ends_its_trials_and_its_log(monkeypatch, directory):
    rows = driven_with(monkeypatch, directory, fails(KeyboardInterrupt()))
    assert [row.reason for row in kinds(rows, EndRow)] == ["interrupted"] * 2
    assert rows[-1].reason == "interrupted"
    assert (directory / "report.html").is_file() and (directory / "ledger.parquet").is_file()
    found = pq.read_schema(directory / "ledger.parquet").metadata[LOG_BYTES]
    assert int(found) == (directory / "events.jsonl").stat().st_size
    rows = driven_with(monkeypatch, directory, finishes)
    assert [row.resumed for row in kinds(rows, JobRow)] == [False, True]
    assert len(kinds(rows, TrialRow)) == 2 and rows[-1].reason == "done"


def test_an_interrupted_comparison_of_the_best_is_no_end(monkeypatch, directory):
    monkeypatch.setattr(winner, "name_winner", fails(KeyboardInterrupt()))
    rows = driven_with(monkeypatch, directory, finishes)
    assert rows[-1].reason == "interrupted"
    assert {row.reason for row in kinds(rows, EndRow)} == {"budget"}


def test_a_driver_interrupted_before_tune_begins_ends_its_log(monkeypatch, directory):
    monkeypatch.setattr(tune_session, "TuneSession", fails(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        drive(directory, lambda row: None)
    rows = read_event_log(directory / "events.jsonl")
    assert [row.reason for row in kinds(rows, EndRow | JobEndRow)] == ["interrupted"] * 3
    run_lifecycle.end_interrupted(directory)
    assert read_event_log(directory / "events.jsonl") == rows


def test_a_finished_run_stays_so_where_its_report_cannot_be_written(monkeypatch, directory):
    for name in ("report.html", "ledger.parquet"):
        (directory / name).mkdir()
    with pytest.warns(InputWarning) as said:
        rows = driven_with(monkeypatch, directory, finishes)
    assert [row.reason for row in kinds(rows, JobEndRow)] == ["done"]
    report = f"{directory}/report.html cannot be written (Is a directory): free some disk space and"
    sentences = [str(warning.message) for warning in said]
    assert len(sentences) == 2 and sentences[1].startswith(report)
    assert f"`rungwise report {directory}`" in sentences[1]
    assert f"`rungwise ledger {directory}` reads events.jsonl in its place" in sentences[0]


def test_a_driver_that_fails_says_what_it_failed_with(monkeypatch, directory):
    with pytest.raises(DriverError, match=r"ValueError: no such store\. .*rungwise resume"):
        driven_with(monkeypatch, directory, fails(ValueError("no such store.\n  at line 3")))
    end = read_event_log(directory / "events.jsonl")[-1]
    assert isinstance(end, JobEndRow) and end.reason == "error"
    assert end.sentence == "ValueError: no such store"
    assert "Traceback" in (directory / run_lifecycle.ERROR).read_text()
    assert get_run_state(directory) == ("failed", f"failed: {end.sentence}")


def test_trials_that_a_kill_kept_out_of_the_log_are_run(monkeypatch, directory):
    driven_with(monkeypatch, directory, fails(KeyboardInterrupt()))
    log = directory / "events.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))  # job, trial 00
    rows = driven_with(monkeypatch, directory, finishes)
    assert [row.trial for row in kinds(rows, TrialRow)] == ["00", "01"]
