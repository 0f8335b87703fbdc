# pyright: basic, reportArgumentType=false
"""The endpoints of the service: what they accept, refuse and report."""

import json
import os
from contextlib import suppress
from dataclasses import fields

import pytest
from dashboard_app import TOKEN, bearer, desk, get, write
from synthetic_sweep import end, job_row, result, synthetic_rows

from cluster.queue.orders import (
    get_run_state,
    list_orders,
)
from cluster.queue.run_queue import RunQueue
from cluster.web.schemas import Submission
from cluster.web.server import make_app
from rungwise.run_log.driver_lock import LOCK, file_lock
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import JobEndRow, TrialRow
from rungwise.run_log.stop_requests import is_stop_requested
from rungwise.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.session.remaining_work import find_remaining_work

TINY = {"env": "CartPole-v1", "iterations": 2, "evaluation_episodes": 0}


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


def test_a_trial_stopped_by_hand_continues_only_on_request(idle):
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


def test_a_job_is_extended_where_it_is_resumed(idle):
    root, client = idle
    space = {"lr": {"loguniform": [1e-4, 1e-2]}}
    client.submit(Submission(job=TINY | {"trials": 3, "search": space}, name="run"))
    client.control_job("run", "stop")
    run = write(root / "run", [job_row(env="CartPole-v1", trials=3, iterations=2)])
    EventLog(run / "events.jsonl").append(JobEndRow(reason="done", seconds=1))

    def resume(**fields):
        headers = bearer() | {"Content-Type": "application/json"}
        sent = json.dumps(fields)
        return get(client.url, "api/jobs/run/resume", "POST", sent, **headers)

    status, _, said = resume(seed=3)
    assert status == 422 and "seed" in said
    status, _, said = resume(trials=0)
    assert (status, json.loads(said)) == (422, {"error": "trials must be at least 1, but it is 0."})
    assert get_run_state(run)[0] == "ended"
    status, _, said = resume(trials=6, iterations=4)
    assert status == 200 and json.loads(said)["state"] == "queued"
    job = load_job(run / "job.yaml")
    assert (job.trials, job.iterations) == (6, 4)
    assert [state.trials for state in client.list_jobs()] == [6], "and not those of the first start"


def test_a_trial_can_be_stopped_only_while_its_run_is_driven(idle):
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

    connection = http.client.HTTPConnection(idle[1].url.removeprefix("http://"))
    headers = bearer() | {"Content-Type": "application/json"}
    body = iter([b'{"job": {"env": "', b"x" * 2000, b'"}}'])
    connection.request("POST", "/api/jobs", body, headers, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 413 and "at most" in json.loads(response.read())["error"]


@pytest.mark.system
def test_bad_input_to_every_address_is_refused_with_a_sentence(tmp_path):
    schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis")
    from hypothesis import HealthCheck, given, settings
    from hypothesis.errors import Unsatisfiable

    import tune_jobs.session.run_lifecycle  # noqa: F401  (torch and Ray take longer than a first answer may)

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
            told = case.call(headers=bearer())
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


def test_one_unreadable_job_file_does_not_hide_the_other_runs(idle):
    root, client = idle
    client.submit(Submission(job=TINY, name="good"))
    (root / "old").mkdir()
    (root / "old" / "job.yaml").write_text("env: CartPole-v1\nno_such_field: 1\n")
    jobs = {job.name: job for job in client.list_jobs()}
    assert set(jobs) == {"good", "old"} and jobs["good"].env == "CartPole-v1"
    assert (jobs["old"].state, jobs["old"].env) == ("stopped", "")
    assert "no_such_field" in jobs["old"].message
