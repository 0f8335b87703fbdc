# pyright: basic
"""Messages of runs: each event has one, and a receiver that fails never ends training."""

import sys
import threading
from pathlib import Path

import pytest
from programs import ENDLESS, look_often, make_program_job, run_program, write_logger
from receiver import HANG, SECRET, receive
from waiting import find_free_port, wait_until

from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import EndRow, JobEndRow, ResultRow
from rungwise.run_log.stop_requests import request_stop
from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.jobs.notify_url import VARIABLE
from tune_jobs.session import notifier
from tune_jobs.session.notifier import MOST_FAILURES, Notifier
from tune_jobs.session.prepare import JOB, make_job_row, prepare_job
from tune_jobs.session.run_lifecycle import drive, end_interrupted
from tune_jobs.session.tune_session import TuneSession


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    look_often(monkeypatch)
    monkeypatch.setattr(notifier, "PAUSE_S", 0.01)
    # Far away: what a test waits for ends it sooner.
    monkeypatch.setattr(notifier, "TIMEOUT_S", 300.0)
    monkeypatch.setattr(notifier, "WAIT_S", 300.0)


def send(monkeypatch, url, *texts):
    """Send messages as a driver does, and wait for the end of its thread."""
    monkeypatch.setenv(VARIABLE, url)
    with Notifier(Path("run")) as sender:
        for text in texts:
            sender.send("run_ended", text)


def logger(folder, rows, *code, **fields):
    return make_program_job(*write_logger(folder), "progress.csv", rows, 0.01, *code, **fields)


def get_message(receiver):
    """The only message, without what Slack and Discord show."""
    (message,) = receiver.messages
    shown = ("text", "content", "allowed_mentions", "host")
    return message["text"], {k: v for k, v in message.items() if k not in shown}


def test_a_message_has_the_text_of_each_chat(monkeypatch):
    with receive() as receiver:
        send(monkeypatch, receiver.url, "a < b & @everyone", "x" * 9000)
    first, long = receiver.messages
    assert next(iter(first)) == "text" and first["text"].endswith(": a &lt; b &amp; @everyone")
    assert first["content"].endswith(": a < b & @everyone")
    assert first["allowed_mentions"] == {"parse": []}
    assert (first["event"], first["run"]) == ("run_ended", "run")
    assert len(long["content"]) < 2000 and long["content"].endswith("...")


def test_a_message_is_tried_again_until_it_is_taken(monkeypatch, capsys):
    with receive(500, 429, 200) as receiver:
        send(monkeypatch, receiver.url, "one", "two")
    assert [status for *_, status in receiver.requests] == [500, 429, 200, 200]
    assert capsys.readouterr().err == ""


def test_a_message_that_is_refused_is_a_warning_after_three_tries(monkeypatch, capsys):
    with receive(500) as receiver:
        send(monkeypatch, receiver.url, "one")
    said = capsys.readouterr().err
    assert len(receiver.requests) == 3 and "not taken in 3 tries (HTTP 500)" in said
    assert "http://127.0.0.1/***" in said and SECRET not in said


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_on_the_same_host_takes_the_message_along(monkeypatch, status):
    with receive(status, 200, location="/moved") as receiver:
        send(monkeypatch, receiver.url, "one")
    (_, first, _), (path, second, _) = receiver.requests
    assert path == "/moved" and first == second


def test_a_redirect_to_another_host_is_not_followed(monkeypatch, capsys):
    with receive() as other:
        location = other.url.replace("127.0.0.1", "localhost")
        with receive(307, location=location) as receiver:
            send(monkeypatch, receiver.url, "one")
    assert len(receiver.requests) == 3 and not other.requests
    said = capsys.readouterr().err
    assert "HTTP 307, a redirect elsewhere" in said and SECRET not in said


def test_no_more_than_some_failed_trials_have_a_message_each(monkeypatch, tmp_path):
    job = make_job({"command": "true {lr}", "search": {"lr": {"choice": [1, 2]}}, "trials": 2})
    with receive() as receiver:
        monkeypatch.setenv(VARIABLE, receiver.url)
        with Notifier(Path("sweep")) as sender:
            sender.observe(make_job_row(job, tmp_path, []))
            for i in range(MOST_FAILURES + 5):
                sender.observe(EndRow(trial=f"{i:02d}", iteration=i, reason="health"))
                sender.observe(EndRow(trial=f"{i:02d}", iteration=i, reason="error", sentence="x."))
    texts = [message["text"] for message in receiver.messages]
    assert len(texts) == MOST_FAILURES and "trial 00 failed after 0 iterations: x." in texts[0]
    assert "no message" in texts[-1] and "no message" not in texts[-2]


def test_the_end_of_a_run_has_a_message_and_no_file_its_url(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RUNGWISE_MIRROR", f"file://{tmp_path}/mirror")
    with receive() as receiver:
        rows = run_program(tmp_path / "run", logger(tmp_path, 12, notify=receiver.url))
    text, facts = get_message(receiver)
    assert facts == {"event": "run_ended", "run": "run", "reason": "done"}
    assert "done after" in text and "Best: trial 00, return mean 12.0 by training." in text
    assert isinstance(rows[-1], JobEndRow) and (tmp_path / "mirror/run/report.html").is_file()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    holds = [path for path in files if SECRET.encode() in path.read_bytes()]
    assert holds == [tmp_path / "run/notify.secret"]
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err


def test_a_run_that_health_ends_has_one_message_with_the_reason(tmp_path):
    with receive() as receiver:
        job = logger(tmp_path, ENDLESS, "i if i < 9 else float('nan')", notify=receiver.url)
        run_program(tmp_path / "run", job)
    text, facts = get_message(receiver)
    expected = {"event": "ended_by_health", "run": "run", "trial": "00", "reason": "health"}
    assert facts == expected and "ended by health after" in text and "not_finite: " in text


def test_a_run_that_is_stopped_has_a_message(tmp_path):
    def stop(row):
        if isinstance(row, ResultRow):
            request_stop(tmp_path / "run")

    with receive() as receiver:
        run_program(tmp_path / "run", logger(tmp_path, ENDLESS, notify=receiver.url), stop)
    text, facts = get_message(receiver)
    assert facts["reason"] == "stopped" and "stopped after" in text


def test_a_program_that_fails_has_a_message_with_its_last_words(tmp_path):
    with receive() as receiver:
        words = [sys.executable, "-c", "import sys; sys.exit('no data')"]
        run_program(tmp_path / "run", make_program_job(*words, notify=receiver.url))
    text, facts = get_message(receiver)
    assert (facts["event"], facts["trial"]) == ("trial_failed", "00") and "no data" in text


def test_a_driver_that_fails_says_so(tmp_path):
    with receive() as receiver:
        prepare_job(logger(tmp_path, 12, notify=receiver.url), tmp_path / "run")
        (tmp_path / "run" / JOB).write_text("env: [")
        with pytest.raises(InputError):
            drive(tmp_path / "run", lambda row: None)
    text, facts = get_message(receiver)
    assert facts == {"event": "run_failed", "run": "run"} and "is not valid YAML" in text


def test_last_words_of_a_driver_are_sent_once(tmp_path):
    job = logger(tmp_path, 12)
    prepare_job(job, tmp_path / "run")
    log = EventLog(tmp_path / "run/events.jsonl")
    log.append(make_job_row(job, tmp_path / "run", []))
    with receive() as receiver:
        (tmp_path / "run/notify.secret").write_text(f"{receiver.url}\n")
        end_interrupted(tmp_path / "run")
        end_interrupted(tmp_path / "run")
    _, facts = get_message(receiver)
    assert facts["reason"] == "interrupted"


def test_a_sweep_has_messages_of_its_failed_trials_and_its_end(tmp_path, monkeypatch):
    def train(session, plans):
        for plan, reason in zip(plans, ("error", "health", "asha"), strict=True):
            end = EndRow(trial=plan.trial, iteration=3, reason=reason, sentence=f"{reason}!")
            session.recorder.write(end)

    monkeypatch.setattr(TuneSession, "run", train)
    fields = {"command": "true {lr} {out}", "search": {"lr": {"uniform": [0, 1]}}, "trials": 3}
    fields |= {"budget": 9}
    with receive() as receiver:
        prepare_job(make_job(fields | {"notify": receiver.url}), tmp_path / "run")
        drive(tmp_path / "run", lambda row: None)
    failed, ended = receiver.messages
    assert (failed["event"], failed["trial"]) == ("trial_failed", "00")
    assert ended["event"] == "run_ended"
    assert "3 trials: 1 error, 1 health, 1 ASHA." in ended["text"]


@pytest.mark.parametrize("fault", ["down", "hanging", "failing", "redirecting"])
def test_training_is_the_same_whatever_its_receiver_does(tmp_path, monkeypatch, capsys, fault):
    if fault == "hanging":
        monkeypatch.setattr(notifier, "WAIT_S", 0.1)
    statuses = {"hanging": HANG, "failing": 500, "redirecting": 302}
    with receive(statuses.get(fault, 200), location="http://localhost/x") as receiver:
        url = f"http://127.0.0.1:{find_free_port()}/{SECRET}" if fault == "down" else receiver.url
        rows = run_program(tmp_path / "run", logger(tmp_path, 12, notify=url))
        said = capsys.readouterr().err
    # Its thread ends after the server does, and must not print into another test.
    wait_until(lambda: "notifier" not in {thread.name for thread in threading.enumerate()})
    assert isinstance(rows[-1], JobEndRow) and rows[-1].reason == "done"
    assert len([row for row in rows if isinstance(row, ResultRow)]) == 12
    assert (tmp_path / "run/report.html").is_file()
    why = "not sent in 0.1 s" if fault == "hanging" else "not taken in 3 tries"
    assert said.count("rungwise: a message of run to http://127.0.0.1/*** was ") == 1
    assert why in said and SECRET not in said
