# pyright: basic, reportArgumentType=false
"""The service: what it starts, what outlives it, and that nothing sent to it breaks it."""

import io
import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import TypeVar

import pytest
from command_line import answer, command, rungwise
from dashboard_app import TOKEN, bearer, get, served_app, write
from rich.console import Console
from synthetic_sweep import end, job_row, result, synthetic_rows

from cluster.commands.jobs import Report
from cluster.dashboard import views
from cluster.dashboard.run_view import RunView
from cluster.queue.orders import (
    Order,
    get_run_state,
    list_orders,
    read_order,
    write_order,
)
from cluster.queue.run_queue import MAX_STARTS, RunQueue
from cluster.web.client import Client
from cluster.web.schemas import Submission
from cluster.web.server import make_app
from envs.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.run_log.driver_lock import LOCK, file_lock, has_driver, hold_driver_lock
from tune_jobs.run_log.events import (
    CheckpointRow,
    EndRow,
    EventLog,
    FindingRow,
    JobEndRow,
    ResultRow,
    TrialRow,
    read_event_log,
)
from tune_jobs.run_log.resume import find_remaining_work
from tune_jobs.run_log.stop_requests import is_stop_requested

R = TypeVar("R", EndRow, ResultRow, CheckpointRow)
TINY = {"env": "CartPole-v1", "iterations": 2, "evaluation_episodes": 0}


@contextmanager
def desk(root, queue):
    with served_app(make_app(root, TOKEN, queue)) as url:
        yield url, Client(url, TOKEN)


@pytest.fixture
def idle(tmp_path):
    """A service whose queue starts nothing, so that what waits keeps waiting."""
    with desk(tmp_path, RunQueue(tmp_path)) as (_, client):
        yield tmp_path, client


def test_a_submitted_job_waits_with_its_priority_in_its_own_directory(idle):
    root, client = idle
    low = client.submit(Submission(job=TINY, name="low"))
    high = client.submit(
        Submission(preset="cartpole", job={"iterations": 3, "grace": 1}, priority=5)
    )
    assert (low.state, low.priority, high.state, high.priority) == ("queued", 0, "queued", 5)
    assert [path.name for path, _ in list_orders(root)] == [high.name, "low"]
    assert {job.name for job in client.list_jobs()} == {"low", high.name}
    assert "iterations: 3" in (root / high.name / "job.yaml").read_text()


def test_what_is_wrong_with_a_job_is_said_before_it_waits(idle):
    root, client = idle
    for job, said in [
        ({}, "must name an environment"),
        ({"env": "CartPol-v1"}, "CartPole"),
        (TINY | {"settings": {"lr": 5.0}}, "settings.lr must be in"),
        (TINY | {"trails": 3}, "did you mean trials"),
        (TINY | {"search": [1]}, "search"),
    ]:
        with pytest.raises(InputError, match=said):
            client.submit(Submission(job=job))
    client.submit(Submission(job=TINY, name="one"))
    with pytest.raises(InputError, match=r"exists already.*`rungwise jobs resume one`") as taken:
        client.submit(Submission(job=TINY, name="one"))
    assert "--out" not in str(taken.value)
    assert [path.name for path, _ in list_orders(root)] == ["one"]


def test_a_job_that_waits_can_be_stopped_and_put_back(idle):
    root, client = idle
    client.submit(Submission(job=TINY, name="one", priority=2))
    assert client.control_job("one", "stop").state == "stopped" and read_order(root / "one") is None
    with pytest.raises(InputError, match="does not run"):
        client.control_job("one", "stop")
    assert client.control_job("one", "resume").state == "queued"
    with pytest.raises(InputError, match="already queued"):
        client.control_job("one", "resume")


def test_what_is_known_of_a_run_is_what_its_log_says(idle):
    root, client = idle
    rows = synthetic_rows()
    write(root / "sweep", rows)
    told = client.get_job("sweep")
    assert told.job.state == "ended" and told.best == "08"
    assert {t.id: t.end_reason for t in told.trials} == {
        row.trial: row.reason for row in rows if isinstance(row, EndRow)
    }
    found = client.list_findings("sweep")
    assert {f.symptom for f in found} == {r.symptom for r in rows if isinstance(r, FindingRow)}
    curves = {c.trial: c for c in client.get_curves("sweep")}
    last = [r for r in rows if isinstance(r, ResultRow) and r.trial == "09"][-1]
    assert (curves["09"].iterations[-1], curves["09"].values[-1]) == (last.iteration, last.score)
    assert client.list_checkpoints("sweep") == []  # the log names some, and none is there
    kept = next(row for row in rows if isinstance(row, CheckpointRow))
    (root / "sweep" / kept.path).mkdir(parents=True)
    assert client.list_checkpoints("sweep") == [kept]


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


def test_a_trial_that_was_stopped_by_hand_goes_on_only_when_it_is_asked_to(idle):
    root, client = idle
    rows = [job_row(trials=2), TrialRow(trial="00", config={}), TrialRow(trial="01", config={})]
    rows += [result("00", 3, 0.5), result("01", 3, 0.4), end("00", 3, "stopped", "by hand")]
    run = write(root / "run", [*rows, end("01", 27, "budget"), JobEndRow(reason="done", seconds=1)])
    assert find_remaining_work(run, read_event_log(run / "events.jsonl")).plans == []
    with pytest.raises(InputError, match="not stopped by hand"):
        client.control_trial("run", "01", "resume")
    assert client.control_trial("run", "00", "resume").end_reason == "interrupted"
    assert [
        p.trial for p in find_remaining_work(run, read_event_log(run / "events.jsonl")).plans
    ] == ["00"]
    assert get_run_state(run)[0] == "queued"


def test_a_trial_can_be_stopped_while_its_run_is_driven_and_not_otherwise(idle):
    root, client = idle
    run = write(root / "run", [job_row(), TrialRow(trial="00", config={}), result("00", 1, 0.5)])
    with file_lock(run / LOCK):
        client.control_trial("run", "00", "stop")
        assert is_stop_requested(run, "00") and not is_stop_requested(run)
        client.control_job("run", "stop")
        assert is_stop_requested(run)
        with pytest.raises(InputError, match="no trial '07'"):
            client.control_trial("run", "07", "stop")
    os.utime(run / "events.jsonl", (0, 0))
    with pytest.raises(InputError, match="does not run"):
        client.control_trial("run", "00", "stop")


def test_a_page_that_only_looks_on_can_stop_a_run_and_start_none(tmp_path):
    run = write(tmp_path / "run", [job_row(), TrialRow(trial="00", config={})])
    with desk(tmp_path, None) as (_, client):
        with pytest.raises(InputError, match="`rungwise service`"):
            client.submit(Submission(job=TINY))
        client.control_job("run", "stop")
    assert is_stop_requested(run)


def test_the_command_line_is_a_client_of_the_service(idle, monkeypatch, tmp_path):
    root, client = idle
    write(root / "sweep", synthetic_rows())
    monkeypatch.setenv("RUNGWISE_TOKEN", TOKEN)
    at = ("--service", client.url)
    words = ("submit", "cartpole", "--name", "mine", "--priority", 3, "--json")
    assert answer(rungwise("jobs", *words, *at, cwd=tmp_path))["job"]["priority"] == 3
    shown = rungwise("jobs", *at, cwd=tmp_path)
    assert "mine" in shown.stdout and "queued" in shown.stdout, shown.stderr
    assert "priority 3" in shown.stdout and "sweep" in shown.stdout
    assert "KL 14.2" in rungwise("jobs", "findings", "sweep", *at, cwd=tmp_path).stdout
    monkeypatch.setenv("RUNGWISE_TOKEN", "wrong")
    refused = rungwise("jobs", *at, cwd=tmp_path)
    assert refused.returncode == 2 and "token" in refused.stderr


@pytest.mark.parametrize("path", ["", "/run", "/run/findings", "/run/metrics", "/none"])
def test_without_the_token_the_service_says_nothing(idle, path):
    _, client = idle
    for method in ("GET", "POST"):
        for headers in ({}, bearer("wrong")):
            status, _, body = get(client.url, f"api/jobs{path}", method, **headers)
            assert status == 401 and "token" in json.loads(body)["error"]
    assert get(client.url, "api/openapi.json")[0] == 401


def test_a_chunked_request_has_a_limit_too(idle, monkeypatch):
    monkeypatch.setattr("cluster.web.auth.MAX_REQUEST_BYTES", 1000)
    import http.client

    connection = http.client.HTTPConnection(idle[1].url.removeprefix("http://"), timeout=20)
    headers = bearer() | {"Content-Type": "application/json"}
    body = iter([b'{"job": {"env": "', b"x" * 2000, b'"}}'])
    connection.request("POST", "/api/jobs", body, headers, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 413 and "at most" in json.loads(response.read())["error"]


def test_several_at_once_must_share_a_ray_or_be_given_cpus(tmp_path):
    with pytest.raises(InputError, match="--cpus"):
        RunQueue(tmp_path, at_once=2)
    RunQueue(tmp_path, at_once=2, cpus=1)
    RunQueue(tmp_path, at_once=2, address="auto")


def test_a_run_whose_driver_never_gets_going_is_given_up_with_its_own_words(tmp_path):
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


def test_a_run_whose_driver_died_has_failed_everywhere(idle):
    root, client = idle
    run = write(root / "run", [job_row(), TrialRow(trial="00", config={}), result("00", 1, 0.5)])
    with hold_driver_lock(run):
        assert client.get_job("run").job.state == "running"
    told = client.get_job("run")
    assert told.job.state == "failed" and f"process {os.getpid()}" in told.job.message
    assert [trial.end_reason for trial in told.trials] == ["interrupted"]
    shown = json.loads(get(client.url, "runs", **bearer())[2])
    assert shown["runs"][0]["state"] == told.job.message
    board = RunView(run)
    board.refresh()
    assert told.job.message in views.build_run_state(board)["job"]["about"]
    (run / "job.yaml").write_text("env: CartPole-v1\n")
    console = Console(file=(printed := io.StringIO()), width=300)
    assert Report(run=run)(console)["failed"] in told.job.message
    assert told.job.message in printed.getvalue().replace("Failed", "failed")
    EventLog(run / "events.jsonl").append(
        JobEndRow(reason="error", seconds=1.0, sentence="OSError: no such store")
    )
    assert client.get_job("run").job.message == "failed: OSError: no such store"


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


def test_bad_input_to_every_address_is_refused_with_a_sentence(tmp_path):
    schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis")
    from hypothesis import HealthCheck, given, settings
    from hypothesis.errors import Unsatisfiable

    import tune_jobs.run_lifecycle  # noqa: F401  (torch and Ray take longer than a first answer may)

    write(tmp_path / "sweep", synthetic_rows())
    made = make_app(tmp_path, TOKEN, RunQueue(tmp_path))
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", made, headers=bearer())
    seen, statuses = set(), set()
    quiet = settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def ask(case):
        """Send it as it is, and about a run and a trial that are there."""
        there = {"name": "sweep", "trial": "09"}
        for known in ({}, {n: there[n] for n in case.path_parameters or {}}):
            case.path_parameters.update(known)
            told = case.call(headers=bearer(), timeout=60)
            assert told.status_code < 500, (case.as_curl_command(), told.text)
            if told.status_code >= 400:
                assert len(told.json()["error"]) > 5
            seen.add((case.method, case.path))
            statuses.add(told.status_code)

    for found in schema.get_all_operations():
        for mode in schemathesis.GenerationMode:
            with suppress(Unsatisfiable):  # of an address that takes nothing, nothing is bad
                quiet(given(case=found.ok().as_strategy(mode))(lambda case: ask(case)))()
    assert len(seen) == 10 and statuses >= {200, 404, 409, 422}


@pytest.mark.parametrize("value", [None, [], {"a": [1]}, "\0x", -1, [{"b": {}}]], ids=repr)
def test_no_value_of_any_field_of_a_job_breaks_the_service(idle, value):
    _, client = idle
    for field in fields(Job):
        body = json.dumps({"job": TINY | {field.name: value}}).encode()
        headers = bearer() | {"Content-Type": "application/json"}
        status, _, text = get(client.url, "api/jobs", "POST", body, **headers)
        assert status in (201, 422), (field.name, text)
        assert status == 201 or len(json.loads(text)["error"]) > 20


@contextmanager
def service(home, *words):
    """The real command, in a home of its own; its process and a client."""
    environment = os.environ | {"HOME": str(home)}
    process = subprocess.Popen(
        command("service", home / "runs", "--port", 0, "--cpus", 1, "--json", *words),
        env=environment,
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield process, Client(said["url"], said["token"])
    finally:
        process.kill()
        process.wait(20)


def until(true, seconds=150):
    """What it is as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(0.2)
    raise AssertionError("it never came true")


def rows_of(run, kind: type[R], trial=None) -> list[R]:
    path = run / "events.jsonl"
    found = [row for row in read_event_log(path) if isinstance(row, kind)] if path.exists() else []
    return [row for row in found if trial is None or row.trial == trial]


def test_the_job_with_the_highest_priority_begins_first_and_the_others_wait(tmp_path):
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
        child.wait(20)
    assert not has_driver(tmp_path / "high")


@pytest.mark.timeout(600)
def test_a_service_that_is_killed_finds_its_run_again_and_all_of_it_can_be_stopped(tmp_path):
    long = {"search": {"lr": {"loguniform": [1e-4, 1e-3]}}, "trials": 2, "checkpoint_interval": 1}
    long |= {"env": "CartPole-v1", "iterations": 100000, "scheduler": "none"}
    run = tmp_path / "runs" / "long"
    with service(tmp_path) as (process, client):
        client.submit(Submission(job=long, name="long"))
        until(lambda: rows_of(run, CheckpointRow, "00"))
        client.control_trial("long", "00", "stop")
        (ended,) = until(lambda: rows_of(run, EndRow, "00"))
        assert ended.reason == "stopped" and "by hand" in ended.sentence
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    until(lambda: rows_of(run, CheckpointRow, "01"))  # the run needs nobody
    with service(tmp_path) as (process, client):
        assert client.get_job("long").job.state == "running"
        with pytest.raises(InputError, match="running already"):
            client.control_job("long", "resume")
        client.control_trial("long", "00", "resume")  # when the others are done
        client.control_job("long", "stop")  # a newer wish: the job is to rest
        until(lambda: client.get_job("long").job.state == "stopped")
        before = {t: rows_of(run, CheckpointRow, t)[-1].iteration for t in ("00", "01")}
        known = len(rows_of(run, ResultRow))
        client.control_job("long", "resume")
        first = until(lambda: rows_of(run, ResultRow)[known:])[0]
        assert (first.trial, first.iteration) == ("00", before["00"] + 1)
        client.control_job("long", "stop")
        until(lambda: client.get_job("long").job.state == "stopped")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
