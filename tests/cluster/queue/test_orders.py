# pyright: basic, reportArgumentType=false
"""States of runs, from the files in their directories."""

import io
import os
import tempfile
import time

import pytest
from dashboard_app import write
from rich.console import Console
from synthetic_sweep import job_row, result

from cluster.commands.jobs import Report
from cluster.pages.overview import RunRows
from cluster.pages.run_page import describe_run
from cluster.queue.orders import get_run_state
from cluster.queue.run_queue import reopen_trial
from cluster.web.run_index import RunIndex
from cluster.web.run_view import RunView
from rungwise.run_log.driver_lock import hold_driver_lock
from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import JobEndRow, TrialRow, VideoRow
from rungwise.validation import InputError


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("done", "ended"),
        ("interrupted", "interrupted"),
        ("stopped", "stopped"),
        ("error", "failed"),
    ],
)
def test_a_run_that_ended_is_called_by_the_way_it_did(idle, reason, state):
    root, client = idle
    write(root / "run", [job_row(), result("00", 1, 0.5), JobEndRow(reason=reason, seconds=1.0)])
    assert client.get_job("run").job.state == state
    with pytest.raises(InputError, match="does not run"):
        client.control_job("run", "stop")
    assert client.control_job("run", "resume").state == "queued"


def test_a_run_whose_driver_died_has_failed_everywhere(idle):
    root, client = idle
    run = write(root / "run", [job_row(), TrialRow(trial="00", config={}), result("00", 1, 0.5)])
    with hold_driver_lock(run):
        assert client.get_job("run").job.state == "running"
    told = client.get_job("run")
    assert told.job.state == "failed" and f"process {os.getpid()}" in told.job.message
    assert [trial.end_reason for trial in told.trials] == ["interrupted"]
    (row,) = RunRows(RunIndex(root)).list_rows([run])
    assert (row["state"], row["message"]) == ("failed", told.job.message)
    board = RunView(run)
    board.refresh()
    assert told.job.message in describe_run(board.outcome, run)
    (run / "job.yaml").write_text("env: CartPole-v1\n")
    console = Console(file=(printed := io.StringIO()), width=300)
    assert Report(run=run)(console)["failed"] in told.job.message
    assert told.job.message in printed.getvalue().replace("Failed", "failed")
    EventLog(run / "events.jsonl").append(
        JobEndRow(reason="error", seconds=1.0, sentence="OSError: no such store")
    )
    assert client.get_job("run").job.message == "failed: OSError: no such store"


def test_a_run_stays_ended_when_videos_are_recorded_or_a_trial_is_reopened(tmp_path):
    run = write(tmp_path / "run", [job_row(), JobEndRow(reason="done", seconds=1.0)])
    EventLog(run / "events.jsonl").append(VideoRow(trial="00", checkpoint="c", path="videos/a.mp4"))
    reopen_trial(run, "00", 3)
    with hold_driver_lock(run):
        pass  # its driver has ended
    assert get_run_state(run) == ("ended", "")


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_a_run_elsewhere_is_silent_by_the_clock_of_its_files(tmp_path, monkeypatch, ahead_s):
    run = write(tmp_path / "run", [job_row(), result("00", 1, 0.5)])
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead_s)
    assert get_run_state(run)[0] == "running"
    at = (run / "events.jsonl").stat().st_mtime - 600
    os.utime(run / "events.jsonl", (at, at))
    assert get_run_state(run) == ("silent", "silent for 10 min")
    assert [path.name for path in run.iterdir()] == ["events.jsonl"]


def test_a_run_that_cannot_be_written_is_silent_by_our_clock(tmp_path, monkeypatch):
    run = write(tmp_path / "run", [job_row(), result("00", 1, 0.5)])

    def refuse(**_):
        raise PermissionError

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert get_run_state(run)[0] == "running"
    os.utime(run / "events.jsonl", (1.0, 1.0))
    assert get_run_state(run)[0] == "silent"
