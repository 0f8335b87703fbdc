# pyright: basic, reportOptionalMemberAccess=false, reportOptionalOperand=false
"""A program is followed without Ray: its end, a doomed one, and one that is found again."""

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading

import psutil
import pytest
from command_line import call
from programs import (
    ENDLESS,
    describe_resumable,
    look_often,
    make_program_job,
    run_program,
    write_logger,
)
from waiting import wait_until

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import EndRow, FindingRow, JobEndRow, LogRow, ResultRow
from rungwise.run_log.stop_requests import request_stop
from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.jobs.program_settings import ProgramSettings
from tune_jobs.programs import followed_program, log_follower
from tune_jobs.programs.process import START, find_process, find_program, remember_program
from tune_jobs.programs.trial_program import get_program_folder
from tune_jobs.session import program_session
from tune_jobs.session.prepare import prepare_job
from tune_jobs.session.run_lifecycle import drive

PLACES = ("run", "copies/run", "back")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    look_often(monkeypatch)


def of_kind(rows, kind):
    return [row for row in rows if isinstance(row, kind)]


def end_of(rows):
    (end,) = of_kind(rows, EndRow)
    return end.reason, end.sentence


def stop_at_first_result(directory):
    """A listener that has the run stopped as soon as there is a result."""

    def listener(row):
        if isinstance(row, ResultRow):
            request_stop(directory)

    return listener


def test_a_healthy_program_ends_by_itself_and_all_rows_are_in_the_log(tmp_path):
    job = make_program_job(*write_logger(tmp_path), "progress.csv", 30, 0.01)
    rows = run_program(tmp_path / "run", job)
    results = of_kind(rows, ResultRow)
    assert [row.iteration for row in results] == list(range(1, 31))
    assert [row.score for row in results] == [float(i) for i in range(1, 31)]
    assert results[-1].env_steps == 30_000
    assert end_of(rows) == ("budget", "the program ended by itself")
    (log,) = of_kind(rows, LogRow)
    assert log.path == str(tmp_path / "progress.csv") and log.format == "SB3 progress.csv"
    assert (tmp_path / "run/report.html").is_file() and not of_kind(rows, FindingRow)


def test_only_the_owner_can_read_the_environment_of_a_program(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNGWISE_MIRROR", (tmp_path / "copies").as_uri())
    words = write_logger(tmp_path)
    job = make_program_job(*words, "progress.csv", 3, 0.01, environment={"KEY": "s3cret"})
    run_program(tmp_path / "run", job)
    fetched = call("fetch", (tmp_path / "copies" / "run").as_uri(), "--out", "back", cwd=tmp_path)
    assert fetched.returncode == 0, fetched.stderr
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    holding = [file for file in files if b"s3cret" in file.read_bytes()]
    expected = {tmp_path / place / name for place in PLACES for name in ("job.yaml", "winner.yaml")}
    assert set(holding) == expected, "a resume needs it"
    assert {stat.S_IMODE(file.stat().st_mode) for file in holding} == {0o600}
    assert (tmp_path / "run/report.html").stat().st_mode & 0o044, "a report is for others, too"


def test_a_doomed_program_is_ended_with_its_reason(tmp_path):
    words = write_logger(tmp_path)
    job = make_program_job(*words, "progress.csv", ENDLESS, 0.02, "i if i < 10 else float('nan')")
    rows = run_program(tmp_path / "run", job)
    reason, sentence = end_of(rows)
    assert reason == "health" and sentence.startswith("not_finite")
    assert not find_program(get_program_folder(tmp_path / "run", "00")).is_running


def test_below_stop_a_program_is_only_warned_of(tmp_path):
    words = write_logger(tmp_path)
    job = make_program_job(
        *(*words, "progress.csv", 40, 0.02, "i if i < 10 else float('nan')"),
        health={"not_finite": "warn"},
    )
    rows = run_program(tmp_path / "run", job)
    assert end_of(rows)[0] == "budget"
    assert {(f.symptom, f.severity) for f in of_kind(rows, FindingRow)} == {("not_finite", "warn")}


def test_a_program_that_fails_is_an_error_with_its_last_words(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("import sys\nprint('one', file=sys.stderr)\nsys.exit('no data at here.csv')")
    rows = run_program(tmp_path / "run", make_program_job(sys.executable, script))
    reason, sentence = end_of(rows)
    assert reason == "error"
    assert sentence == "the program failed with status 1: one | no data at here.csv"


def test_a_program_without_a_log_goes_on_with_a_warning(tmp_path):
    goes_on = "until [ -e found ]; do sleep 0.05; done"
    job = make_program_job("sh", "-c", goes_on, patience_s=0.1, log="logs/*.csv")

    def listener(row):
        if isinstance(row, FindingRow):
            (tmp_path / "found").touch()

    rows = run_program(tmp_path / "run", job, listener)
    (finding,) = of_kind(rows, FindingRow)
    assert finding.symptom == "no_log" and "logs/*.csv" in finding.evidence
    assert end_of(rows)[0] == "budget"


def test_a_line_that_was_cut_off_is_left_out_with_a_note(tmp_path):
    lines = ["step,return_mean", *(f"{i},{i}" for i in range(1, 13))]
    lines[5] += lines[6]
    script = tmp_path / "train.py"
    script.write_text(f"open('log.csv', 'w').write({chr(10).join(lines)!r})")
    rows = run_program(tmp_path / "run", make_program_job(sys.executable, script))
    (finding,) = of_kind(rows, FindingRow)
    assert (finding.symptom, finding.severity) == ("lines_left_out", "note")
    assert "line 6 has 3 cells" in finding.evidence
    assert len(of_kind(rows, ResultRow)) == 11 and end_of(rows)[0] == "budget"


def test_a_missing_score_is_a_sentence_and_the_program_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(followed_program, "CHECKED_ROWS", 3)
    words = write_logger(tmp_path)
    job = make_program_job(
        *words, "progress.csv", ENDLESS, 0.02, metric="rollout/ep_rew", mode="max"
    )
    with pytest.raises(InputError, match=r"did you mean rollout/ep_rew_mean") as refused:
        run_program(tmp_path / "run", job)
    program = find_program(get_program_folder(tmp_path / "run", "00"))
    assert program.is_running and f"process {program.pid}" in str(refused.value)
    program.end()


def interrupt_after(directory, rows):
    """Act as a killed driver: stop following without ending the program."""

    class Killed(BaseException):
        pass

    seen = []

    def listener(row):
        seen.append(row)
        if len(of_kind(seen, ResultRow)) == rows:
            raise Killed

    with pytest.raises(Killed):
        drive(directory, listener)


def test_after_a_kill_the_running_program_is_found_again(tmp_path):
    words = write_logger(tmp_path)
    job = make_program_job(*words, "progress.csv", 60, 0.02, "held(i, 20, 'go')")
    prepare_job(job, tmp_path / "run")
    interrupt_after(tmp_path / "run", 5)
    program = find_program(get_program_folder(tmp_path / "run", "00"))
    assert program.is_running
    (tmp_path / "go").touch()
    drive(tmp_path / "run", lambda row: None)
    rows = read_event_log(tmp_path / "run/events.jsonl")
    # Every iteration once: what was written before the kill is not written again.
    assert [row.iteration for row in of_kind(rows, ResultRow)] == list(range(1, 61))
    assert find_program(get_program_folder(tmp_path / "run", "00")).pid == program.pid


def test_what_ended_while_nobody_looked_is_read_to_its_end(tmp_path):
    job = make_program_job(*write_logger(tmp_path), "progress.csv", 20, 0.01)
    prepare_job(job, tmp_path / "run")
    interrupt_after(tmp_path / "run", 3)
    program = find_program(get_program_folder(tmp_path / "run", "00"))
    wait_until(lambda: not program.is_running)
    drive(tmp_path / "run", lambda row: None)
    rows = read_event_log(tmp_path / "run/events.jsonl")
    assert [row.iteration for row in of_kind(rows, ResultRow)] == list(range(1, 21))
    assert end_of(rows)[0] == "budget"


def test_a_request_to_stop_ends_program_and_run(tmp_path):
    job = make_program_job(*write_logger(tmp_path), "progress.csv", ENDLESS, 0.02)
    rows = run_program(tmp_path / "run", job, stop_at_first_result(tmp_path / "run"))
    assert end_of(rows)[0] == "interrupted" and of_kind(rows, JobEndRow)[-1].reason == "stopped"
    assert not find_program(get_program_folder(tmp_path / "run", "00")).is_running
    # Continued by hand it starts again, as there is nothing of it to continue.
    drive(tmp_path / "run", stop_at_first_result(tmp_path / "run"))
    again = of_kind(read_event_log(tmp_path / "run/events.jsonl"), ResultRow)
    assert [row.iteration for row in again].count(1) == 2


@pytest.mark.parametrize("machine_stops", [False, True])
def test_a_program_continues_from_what_it_saved(tmp_path, machine_stops):
    prepare_job(make_job(describe_resumable(tmp_path)), tmp_path / "run")
    folder = get_program_folder(tmp_path / "run", "00")
    if machine_stops:
        interrupt_after(tmp_path / "run", 3)
        os.killpg(find_program(folder).pid, signal.SIGKILL)
        wait_until(lambda: not find_program(folder).is_running)
    else:
        drive(tmp_path / "run", stop_at_first_result(tmp_path / "run"))
    drive(tmp_path / "run", lambda row: None)
    results = of_kind(read_event_log(tmp_path / "run/events.jsonl"), ResultRow)
    assert [row.iteration for row in results] == list(range(1, 11))
    seconds = [row.seconds for row in results]
    assert seconds == sorted(seconds), "of both its starts"
    text = (folder / "out/progress.csv").read_text()
    assert text.count("return_mean") == 1, "it was continued and not started again"


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_time_trained_depends_on_no_two_clocks(tmp_path, ahead_s):
    """The clocks of the driver and of the file server differ, or one of them is set."""
    prepare_job(make_job(describe_resumable(tmp_path)), tmp_path / "run")
    folder, log = get_program_folder(tmp_path / "run", "00"), tmp_path / "run/events.jsonl"
    interrupt_after(tmp_path / "run", 3)
    os.killpg(find_program(folder).pid, signal.SIGKILL)
    wait_until(lambda: not find_program(folder).is_running)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    ahead = [json.dumps(row | {"time": row["time"] + ahead_s}) for row in rows]
    log.write_text("\n".join([*ahead, ""]))
    interrupt_after(tmp_path / "run", 2)  # it runs on, and is found again
    started = (folder / START).stat().st_mtime - ahead_s
    os.utime(folder / START, (started, started))
    drive(tmp_path / "run", lambda row: None)
    results = of_kind(read_event_log(log), ResultRow)
    seconds = [row.seconds for row in results]
    assert [row.iteration for row in results] == list(range(1, 11))
    assert seconds == sorted(seconds) and seconds[-1] < 600


def test_somebody_elses_process_is_followed_by_its_log_and_ended(tmp_path):
    words = [*write_logger(tmp_path), "progress.csv", str(ENDLESS), "0.01", "float('nan')"]
    other = subprocess.Popen(words, start_new_session=True)
    try:
        wait_until((tmp_path / "progress.csv").exists)
        settings = ProgramSettings(log=str(tmp_path / "progress.csv"))
        job = make_program_job("train").__class__(env="log", algo="program", settings=settings)
        prepare_job(job, tmp_path / "run")
        folder = get_program_folder(tmp_path / "run", "00")
        folder.mkdir(parents=True)
        remember_program(find_process(other.pid), folder)
        drive(tmp_path / "run", lambda row: None)
        rows = read_event_log(tmp_path / "run/events.jsonl")
        assert end_of(rows)[0] == "health" and other.wait() != 0
    finally:
        other.kill()
        other.wait()


def test_a_program_may_run_beyond_its_budget(tmp_path):
    words = write_logger(tmp_path)
    job = make_program_job(
        *(*words, "progress.csv", 40, 0.01), progress="time/iterations", budget=10
    )
    rows = run_program(tmp_path / "run", job)
    assert end_of(rows) == ("budget", "the program ended by itself")
    assert of_kind(rows, ResultRow)[-1].score == 40


def test_what_a_program_leaves_behind_at_its_end_is_left_alone(tmp_path):
    """A server that it has started, for instance."""
    command = shlex.join(map(str, [*write_logger(tmp_path), "progress.csv", 12, 0.01]))
    rows = run_program(
        tmp_path / "run", make_program_job("sh", "-c", f"sleep 60 & echo $! > child; {command}")
    )
    child = int((tmp_path / "child").read_text())
    assert end_of(rows)[0] == "budget" and psutil.Process(child).is_running()
    os.kill(child, signal.SIGKILL)


def test_a_request_to_stop_is_served_while_it_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(log_follower, "FIRST_S", 0.0)
    monkeypatch.setattr(program_session, "SHARE", 1e-9)
    monkeypatch.setattr(program_session, "LONGEST_S", 1e6)
    # It runs for minutes, so that a wait that a request does not end is ended by the program.
    job = make_program_job(*write_logger(tmp_path), "progress.csv", 15_000, 0.02)

    def stop_once_it_runs():
        wait_until((tmp_path / "progress.csv").exists)
        request_stop(tmp_path / "run")

    threading.Thread(target=stop_once_it_runs).start()
    rows = run_program(tmp_path / "run", job)
    assert end_of(rows)[0] == "interrupted" and of_kind(rows, JobEndRow)[-1].reason == "stopped"
