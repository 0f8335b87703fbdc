# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false
"""A run directory has one driver, and its lock ends with the driver's process."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from synthetic_sweep import job_row, result

from rungwise.run_log import driver_lock
from rungwise.run_log.driver_lock import (
    LOCK,
    Driver,
    file_lock,
    has_driver,
    hold_driver_lock,
    make_lost_end,
    read_driver,
)
from rungwise.run_log.events import JobEndRow, TrialRow
from rungwise.run_log.stop_requests import is_stop_requested, request_stop
from rungwise.validation import InputError

DRIVER = """
import subprocess, sys, time
from pathlib import Path
from rungwise.run_log.driver_lock import hold_driver_lock
with hold_driver_lock(Path(sys.argv[1])):
    child = subprocess.Popen(["sleep", "60"])  # as Ray's processes are
    print(child.pid, flush=True)
    time.sleep(60)
"""
ROWS = [job_row(), TrialRow(trial="00", config={}), result("00", 1, 0.5)]


@pytest.fixture
def driver(tmp_path):
    """A process that drives a run and has a child; the child's id."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    child = int(process.stdout.readline())
    yield process, child
    process.kill()
    process.wait()
    os.kill(child, signal.SIGKILL)


def test_a_second_driver_is_refused_with_the_first_ones_process(driver, tmp_path):
    process, _ = driver
    assert has_driver(tmp_path)
    said = f"driven by process {process.pid} on "
    with pytest.raises(InputError, match=said) as refused, hold_driver_lock(tmp_path):
        pass
    assert str(tmp_path) in str(refused.value)
    assert read_driver(tmp_path).pid == process.pid
    assert make_lost_end(tmp_path, ROWS) == []


def test_a_run_in_a_folder_that_cannot_be_written_is_refused(tmp_path):
    with (
        pytest.raises(InputError, match=r"lost cannot be written \(No such .*\): copy the run"),
        hold_driver_lock(tmp_path / "lost"),
    ):
        pass


def test_kill_9_frees_the_lock_although_a_child_lives(driver, tmp_path):
    process, child = driver
    process.kill()
    process.wait()
    os.kill(child, 0)
    assert not has_driver(tmp_path)
    (end,) = make_lost_end(tmp_path, ROWS)
    assert end.reason == "error" and f"process {process.pid}" in end.sentence
    with hold_driver_lock(tmp_path):
        assert read_driver(tmp_path).pid == os.getpid()


def test_a_run_that_ended_or_ran_elsewhere_has_no_lost_driver(tmp_path):
    assert make_lost_end(tmp_path, ROWS) == []  # no driver is known
    with hold_driver_lock(tmp_path):
        pass
    assert [row.time for row in make_lost_end(tmp_path, ROWS)] == [ROWS[-1].time]
    assert make_lost_end(tmp_path, [*ROWS, JobEndRow(reason="done", seconds=1.0)]) == []
    (tmp_path / LOCK).write_text('{"pid": 1, "host": "another", "since": 1.0}')
    assert read_driver(tmp_path) == Driver(1, "another", 1.0)
    assert make_lost_end(tmp_path, ROWS) == []


def test_a_resume_forgets_a_stop_that_the_last_driver_did_not_serve(tmp_path):
    request_stop(tmp_path)
    inherited = os.open(tmp_path / LOCK, os.O_RDWR | os.O_CREAT)
    with hold_driver_lock(tmp_path, inherited):  # of the queue, in which a stop may be new
        assert is_stop_requested(tmp_path)
    with hold_driver_lock(tmp_path):
        assert not is_stop_requested(tmp_path)


def test_processes_of_the_driver_do_not_inherit_the_lock(tmp_path):
    inherited = os.open(tmp_path / LOCK, os.O_RDWR | os.O_CREAT)
    os.set_inheritable(inherited, True)
    with hold_driver_lock(tmp_path, inherited):
        assert not os.get_inheritable(inherited)


def test_a_driver_takes_over_the_lock_that_was_taken_for_it(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from rungwise.run_log.driver_lock import hold_driver_lock\n"
        "with hold_driver_lock(Path(sys.argv[1]), int(sys.argv[2])):\n"
        "    print(flush=True); time.sleep(60)"
    )
    with file_lock(tmp_path / LOCK) as lock:
        words = [sys.executable, "-c", code, str(tmp_path), str(lock)]
        process = subprocess.Popen(words, pass_fds=[lock], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        assert has_driver(tmp_path) and read_driver(tmp_path).pid == process.pid
    finally:
        process.kill()
        process.wait()
    assert not has_driver(tmp_path)


def test_one_that_only_looks_keeps_no_driver_out(tmp_path):
    stop = threading.Event()

    def look():
        while not stop.is_set():
            has_driver(tmp_path)

    with hold_driver_lock(tmp_path):
        pass
    looking = [threading.Thread(target=look) for _ in range(2)]
    for thread in looking:
        thread.start()
    try:
        for _ in range(20):
            with hold_driver_lock(tmp_path):
                time.sleep(0.001)
    finally:
        stop.set()
        for thread in looking:
            thread.join()


def test_where_there_are_no_locks_a_run_starts_with_a_warning(tmp_path, monkeypatch, capsys):
    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(driver_lock.fcntl, "flock", none)
    with hold_driver_lock(tmp_path):
        assert not has_driver(tmp_path)
    assert "without locks" in capsys.readouterr().err
