# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""The queue: which runs it starts, and how it judges their ends."""

import dataclasses
import threading
import time

import pytest
from dashboard_app import write
from receiver import receive
from synthetic_sweep import job_row
from waiting import wait_until

from cluster.queue import run_queue
from cluster.queue.orders import (
    Order,
    get_run_state,
    list_orders,
    read_order,
    write_order,
)
from cluster.queue.run_queue import MAX_STARTS, RunQueue
from cluster.web.schemas import Submission
from rungwise.run_log.driver_lock import has_driver
from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import EndRow, JobEndRow, TrialRow
from rungwise.run_log.log_file import get_log_size
from rungwise.run_log.stop_requests import is_stop_requested
from rungwise.validation import InputError

TINY = {"env": "CartPole-v1", "iterations": 2, "evaluation_episodes": 0}


def test_a_submitted_job_waits_with_its_priority(idle):
    root, client = idle
    low = client.submit(Submission(job=TINY, name="low"))
    high = client.submit(
        Submission(preset="cartpole", job={"iterations": 3, "grace": 1}, priority=5)
    )
    assert (low.state, low.priority, high.state, high.priority) == ("queued", 0, "queued", 5)
    assert [path.name for path, _ in list_orders(root)] == [high.name, "low"]
    assert {job.name for job in client.list_jobs()} == {"low", high.name}
    assert "iterations: 3" in (root / high.name / "job.yaml").read_text()


def test_a_job_that_waits_can_be_stopped_and_put_back(idle):
    root, client = idle
    client.submit(Submission(job=TINY, name="one", priority=2))
    assert client.control_job("one", "stop").state == "stopped" and read_order(root / "one") is None
    with pytest.raises(InputError, match="does not run"):
        client.control_job("one", "stop")
    assert client.control_job("one", "resume").state == "queued"
    with pytest.raises(InputError, match="already queued"):
        client.control_job("one", "resume")


def test_several_at_once_must_share_a_ray_or_be_given_cpus(tmp_path):
    with pytest.raises(InputError, match="--cpus"):
        RunQueue(tmp_path, at_once=2)
    RunQueue(tmp_path, at_once=2, cpus=1)
    RunQueue(tmp_path, at_once=2, address="auto")


def test_a_run_fails_with_the_last_line_of_its_driver(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "job.yaml").write_text("env: 7\n")
    (run / "events.jsonl").write_text("")
    write_order(run, Order(num_starts=MAX_STARTS))
    (run / "driver.log").write_text("Starting\nrungwise: There is no Ray to join at 10.0.0.1.\n\n")
    queue = RunQueue(tmp_path)
    queue.tick()
    state, said = get_run_state(run)
    assert state == "failed" and "There is no Ray to join at 10.0.0.1." in said
    queue.resume(run)
    assert get_run_state(run)[0] == "queued"


def test_a_driver_that_failed_is_tried_again_and_then_given_up(tmp_path):
    end = JobEndRow(reason="error", seconds=1.0, sentence="OSError: no such store")
    run = write(tmp_path / "run", [job_row(), end])
    (run / "driver.log").write_text("rungwise: The run failed: OSError: no such store.\n")
    write_order(run, Order(num_starts=1))
    queue = RunQueue(tmp_path)
    queue._judge_end(run, Order(num_starts=1))
    assert get_run_state(run)[0] == "queued"
    queue._judge_end(run, Order(num_starts=MAX_STARTS))
    assert get_run_state(run)[0] == "failed" and "no such store" in get_run_state(run)[1]


def test_a_stop_while_the_driver_starts_ends_the_run(tmp_path):
    (run := tmp_path / "run").mkdir()  # without a job, so that its driver fails
    write_order(run, Order(ordered_at=1.0))
    queue = RunQueue(tmp_path)
    queue.tick()
    run_queue.stop_run(run)
    queue._children[0].wait()
    assert is_stop_requested(run)
    queue.tick()
    assert read_order(run) is None and not queue._children and not is_stop_requested(run)


def test_a_lost_driver_has_one_message_however_long_its_run_waits(tmp_path):
    (run := tmp_path / "run").mkdir()
    write_order(run, Order(ordered_at=1.0))
    queue = RunQueue(tmp_path)
    queue.tick()
    (child,) = queue._children
    child.kill()
    child.wait()
    (run / "driver.log").write_text("Starting\n")
    with receive() as receiver:
        (run / "notify.secret").write_text(receiver.url)
        for num_starts in (1, 1, 2, MAX_STARTS):
            order = dataclasses.replace(read_order(run), num_starts=num_starts)
            queue._judge_end(run, order)
        first, second, last = sorted(receiver.wait(3), key=lambda message: message["text"])[::-1]
    wait_until(lambda: "notifier" not in {thread.name for thread in threading.enumerate()})
    assert {message["event"] for message in (first, second, last)} == {"driver_lost"}
    texts = [first["text"], second["text"], last["text"]]
    assert all("its driver was lost: it has written no end." in text for text in texts)
    assert "Start 3 of 3 follows. It printed last: Starting" in texts[0]
    assert "Start 2 of 3 follows." in texts[1] and "It is given up" in texts[2]


def test_a_driver_that_has_written_its_failure_is_not_lost(tmp_path, monkeypatch):
    end = JobEndRow(reason="error", seconds=1.0, sentence="OSError: no such store")
    run = write(tmp_path / "run", [job_row(), end])
    write_order(run, Order(num_starts=1))
    with receive() as receiver:
        monkeypatch.setenv("RUNGWISE_NOTIFY", receiver.url)
        queue = RunQueue(tmp_path)
        queue._judge_end(run, Order(num_starts=1))
        (run / "events.jsonl").write_text("")
        queue._judge_end(run, Order(num_starts=2))
        (message,) = receiver.wait(1)
    assert "Start 3 of 3 follows" in message["text"]


def test_the_job_with_the_highest_priority_starts_first(tmp_path):
    for name, priority in (("low", 0), ("high", 5), ("middle", 1)):
        (tmp_path / name).mkdir()
        write_order(tmp_path / name, Order(priority, time.time()))
    queue = RunQueue(tmp_path)
    queue.tick()
    queue.tick()
    (child,) = queue._children
    try:
        assert [has_driver(tmp_path / name) for name in ("high", "middle", "low")] == [1, 0, 0]
        # Another service that looks at the same directory starts nothing either.
        RunQueue(tmp_path).tick()
        assert not has_driver(tmp_path / "middle")
    finally:
        child.kill()
        child.wait()
    assert not has_driver(tmp_path / "high")


def test_without_a_token_no_job_may_be_a_program(tmp_path):
    fields = {"command": "sleep 1"}
    with pytest.raises(InputError, match="needs a token"):
        RunQueue(tmp_path, accepts_programs=False).submit(fields, None, "", Order())
    directory = RunQueue(tmp_path).submit(fields, None, "", Order())
    assert directory.name.startswith("sleep-") and get_run_state(directory)[0] == "queued"


@pytest.mark.parametrize("text", ["", '{"priority": ', "[1]", '{"priority": "high"}', "\0"])
def test_a_damaged_order_stops_no_other_run(tmp_path, monkeypatch, text):
    (damaged := tmp_path / "damaged").mkdir()
    (damaged / "order.json").write_text(text)
    (tmp_path / "good").mkdir()
    write_order(tmp_path / "good", Order(ordered_at=1.0))
    queue, started = RunQueue(tmp_path), []
    monkeypatch.setattr(queue, "_start", lambda directory, _: not started.append(directory.name))
    queue.tick()
    state, message = get_run_state(damaged)
    assert (state, started) == ("failed", ["good"]) and "order.json" in message
    queue.resume(damaged)
    assert get_run_state(damaged)[0] == "queued"


def test_a_run_that_cannot_be_started_holds_up_no_other(tmp_path, capsys):
    """A full disk and a deleted directory show as an OSError of the first write."""
    for name in ("high", "low"):
        (tmp_path / name).mkdir()
    write_order(tmp_path / "high", Order(priority=5))
    write_order(tmp_path / "low", Order(ordered_at=1.0))
    (tmp_path / "high" / "driver.lock").mkdir()
    queue = RunQueue(tmp_path)
    queue.tick()
    queue.tick()
    (child,) = queue._children
    try:
        assert has_driver(tmp_path / "low") and get_run_state(tmp_path / "high")[0] == "queued"
        assert capsys.readouterr().err.count("high") == 1
    finally:
        child.kill()
        child.wait()


def test_the_queue_outlives_any_error_of_a_tick(tmp_path, monkeypatch):
    queue, stop, ticks = RunQueue(tmp_path), threading.Event(), []

    def tick():
        ticks.append(1)
        if len(ticks) == 3:
            stop.set()
        raise OSError("the disk of the runs is gone")

    monkeypatch.setattr(queue, "tick", tick)
    monkeypatch.setattr(run_queue, "POLL_INTERVAL_S", 0)
    queue.run_until_stopped(stop)
    assert len(ticks) == 3


@pytest.fixture
def ended(tmp_path):
    """A run whose driver has just ended, and a queue that has not looked since."""
    run = write(tmp_path / "run", [job_row(), TrialRow(trial="00", config={})])
    size = get_log_size(run / "events.jsonl")
    log = EventLog(run / "events.jsonl")
    log.append(EndRow(trial="00", iteration=1, reason="stopped", sentence="stopped by hand"))
    log.append(JobEndRow(reason="done", seconds=1.0))
    write_order(run, Order(num_starts=1, ordered_at=1.0, log_size=size))
    return run


def count_starts(queue, monkeypatch):
    started = []
    monkeypatch.setattr(queue, "_start", lambda run, order: started.append(run.name) or True)
    return started


def test_a_resume_right_after_the_end_of_a_driver_is_served(ended, monkeypatch):
    queue = RunQueue(ended.parent)
    started = count_starts(queue, monkeypatch)
    run_queue.reopen_trial(ended, "00", 1)
    queue.resume(ended)
    assert get_run_state(ended)[0] == "queued"
    queue.tick()
    assert started == ["run"]


def test_a_run_has_ended_before_the_queue_looks(ended, monkeypatch):
    assert get_run_state(ended) == ("ended", "")
    write_order(ended, dataclasses.replace(read_order(ended), restart_after_end=True))
    assert get_run_state(ended) == ("queued", ""), "another driver follows"
    queue = RunQueue(ended.parent)
    started = count_starts(queue, monkeypatch)
    queue.tick()
    assert started == ["run"]


def test_a_whole_run_can_be_resumed_right_after_its_end(idle):
    root, client = idle
    end = JobEndRow(reason="done", seconds=1.0)
    run = write(root / "run", [job_row(), end])
    write_order(run, Order(num_starts=1, ordered_at=1.0))
    assert client.control_job("run", "resume").state == "queued"
    assert read_order(run).num_starts == 0


def test_runs_are_driven_while_a_job_is_checked(tmp_path, monkeypatch):
    from tune_jobs.session import prepare

    queue = RunQueue(tmp_path)
    started = count_starts(queue, monkeypatch)
    (tmp_path / "other").mkdir()
    write_order(tmp_path / "other", Order(ordered_at=1.0))

    def check_long(job, directory):
        queue.tick()
        queue.resume(tmp_path / "other")
        directory.mkdir()

    monkeypatch.setattr(prepare, "prepare_job", check_long)
    thread = threading.Thread(target=queue.submit, args=(TINY, None, "new", Order()), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive() and started == ["other"]


def test_a_stop_is_served_though_the_queue_starts_the_run_meanwhile(tmp_path, monkeypatch):
    (run := tmp_path / "run").mkdir()
    write_order(run, order := Order(ordered_at=1.0))
    queue = RunQueue(tmp_path)
    with monkeypatch.context() as patch:  # it starts between the look at its state and the stop
        patch.setattr(run_queue, "get_run_state", lambda run: queue.tick() or ("queued", ""))
        run_queue.stop_run(run)
        assert is_stop_requested(run)
    queue._children[0].wait()
    queue.tick()
    assert not queue._start(run, order), "a queue that has read its order before the stop"
    assert read_order(run) is None
