# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The server of the live page: access, refusals, and the page in a browser."""

import json
import re

import pytest
from chromium import browser, needs_browser
from dashboard_app import TOKEN, bearer, get, served, served_app, write
from synthetic_sweep import end, job_row, result, synthetic_rows
from waiting import wait_until

from cluster.queue.orders import read_order
from cluster.queue.run_queue import RunQueue
from cluster.web import auth
from cluster.web.server import make_app
from tune_jobs.run_log.driver_lock import LOCK, file_lock
from tune_jobs.run_log.event_log import EventLog, read_event_log
from tune_jobs.run_log.events import EndRow, JobEndRow, TrialRow
from tune_jobs.run_log.stop_requests import is_stop_requested


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write(root / "sweep", synthetic_rows())
    with served(root) as url:
        yield url


PATHS = ["", "page.js", "plots.js", "page.css", "plotly.js", "runs", "stream?run=sweep"]


PATHS += ["events?run=sweep", "tab?run=sweep&name=ledger", "nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_every_address_is_refused(page, path):
    for headers in ({}, bearer("wrong"), {"Cookie": f"{auth.COOKIE}=wrong"}, bearer("")):
        status, _, body = get(page, path, **headers)
        assert status == 401 and "token" in json.loads(body)["error"]


@pytest.mark.parametrize("path", ["", "runs", "nothing"])
def test_every_answer_has_the_security_headers(page, path):
    for headers in (bearer(), {}):
        _, got, _ = get(page, path, **headers)
        assert "script-src 'self'" in got["content-security-policy"]
        assert "'unsafe-inline'" not in got["content-security-policy"].partition("style-src")[0]
        assert got["x-content-type-options"] == "nosniff" and got["referrer-policy"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("stream", 422),
        ("stream?run=..%2F..%2Fetc", 404),
        ("events?run=sweep&after=-1", 422),
        ("events?run=", 422),
        ("tab?run=sweep&name=none", 422),
        ("tab?run=sweep", 422),
        ("nothing", 404),
    ],
)
def test_bad_calls_get_a_sentence(page, path, status):
    got, _, body = get(page, path, **bearer())
    assert got == status and len(json.loads(body)["error"]) > 5


@needs_browser
def test_a_browser_shows_a_growing_run_without_other_hosts(tmp_path):
    rows = synthetic_rows()
    half = len(rows) // 2
    write(tmp_path / "runs" / "sweep", rows[:half])
    log = EventLog(tmp_path / "runs" / "sweep" / "events.jsonl")
    points = "document.getElementById('plot').data.reduce((n, t) => n + t.x.length, 0)"
    with served(tmp_path / "runs") as url, browser(tmp_path / "profile") as tab:
        tab.open(f"{url}?token={TOKEN}#run=sweep", width=390, height=844)
        tab.wait("document.querySelectorAll('#plot .scatterlayer .trace').length > 5")
        before = tab.ask(points)
        for row in rows[half:]:
            log.append(row)
        tab.wait("document.getElementById('cards').textContent.includes('time taken')")
        assert tab.wait(f"{points} > {before}")
        # As light or as dark as its reader wants it.
        shades = []
        for dark in (False, True):
            tab.dark(dark)
            shades.append(tab.ask("getComputedStyle(document.body).color"))
        assert [sum(map(int, re.findall(r"\d+", shade)[:3])) > 384 for shade in shades] == [0, 1]
        # A phone's width holds it, and the keyboard reaches everything.
        assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
        tab.ask("document.querySelector('#trials tr').focus()")
        tab.press("ArrowDown", 40)
        tab.press("Enter", 13, "\r")
        tab.wait("document.querySelectorAll('#trials tr[aria-selected=true]').length")
        assert "trials=" in tab.ask("location.hash") and "token" not in tab.ask("location.href")
        tab.ask("document.getElementById('tab-events').focus()")
        tab.press("ArrowRight", 39)
        tab.wait("document.querySelectorAll('#panel .scatterlayer .trace').length > 4")
        tab.press("ArrowRight", 39)
        tab.wait("document.querySelectorAll('#panel table tr').length > 4")
        assert [r for r in tab.requests if not r.startswith((url, "data:"))] == []
        assert tab.errors == []


@needs_browser
def test_a_trial_and_the_job_are_stopped_and_resumed_by_buttons(tmp_path):
    rows = [job_row(trials=2), TrialRow(trial="00", config={}), TrialRow(trial="01", config={})]
    rows += [result("00", 3, 0.5), result("01", 3, 0.4), end("01", 3, "stopped", "by hand")]
    run = write(tmp_path / "runs" / "sweep", rows)
    clicked = "[...document.querySelectorAll('#actions button')].find(b => b.textContent === %r)"
    page = make_app(tmp_path / "runs", TOKEN, RunQueue(tmp_path / "runs"))
    with served_app(page) as url, browser(tmp_path / "profile") as tab:

        def click(said):
            tab.wait(f"!!{clicked % said}")
            tab.ask(f"{clicked % said}.click()")

        tab.open(f"{url}?token={TOKEN}#run=sweep&trials=00,01", width=390, height=844)
        with file_lock(run / LOCK):
            click("Stop trial 00")
            wait_until(lambda: is_stop_requested(run, "00"))
            click("Stop this job")
            wait_until(lambda: is_stop_requested(run))
        EventLog(run / "events.jsonl").append(JobEndRow(reason="interrupted", seconds=1.0))
        click("Resume trial 01")
        wait_until(lambda: read_order(run) is not None)
        last = read_event_log(run / "events.jsonl")[-1]
        assert isinstance(last, EndRow) and last.sentence == "resumed by request"
        assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
        assert tab.errors == []
