# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The live page: what it knows of a log, whom it lets in, and what a browser makes of it."""

import json
import re
import signal
import subprocess
import time

import pytest
from chromium import browser, needs_browser
from command_line import command
from dashboard_app import TOKEN, bearer, get, read_whole, served, served_app, write
from synthetic_sweep import end, job_row, result, synthetic_rows

from cluster.dashboard import views
from cluster.dashboard.run_view import MAX_RESULTS, ResultPoint, thin_points
from cluster.dashboard.tab_content import TAB_BUILDERS, build_tab
from cluster.queue.orders import read_order
from cluster.queue.run_queue import RunQueue
from cluster.web import auth
from cluster.web.server import make_app
from envs.episode_trace import EpisodeTrace, Frame
from envs.validation import InputError
from tune_jobs.run_log.driver_lock import LOCK, file_lock
from tune_jobs.run_log.events import (
    CheckpointRow,
    EndRow,
    EvaluationRow,
    EventLog,
    JobEndRow,
    Row,
    TrialRow,
    encode_row,
    read_event_log,
)
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.stop_requests import is_stop_requested


def test_a_run_on_the_page_came_to_what_the_log_says(tmp_path):
    rows = synthetic_rows()
    board = read_whole(write(tmp_path / "run", rows))
    told, expected = board.build_outcome(), Outcome.from_rows(rows)
    assert told.as_dict() == expected.as_dict()
    assert [t.status_text for t in told.trials] == [t.status_text for t in expected.trials]
    assert [t.seconds_saved for t in told.trials] == [t.seconds_saved for t in expected.trials]
    best = expected.best.id
    assert board.build_outcome(full_trial=best).best.results == expected.best.results


def test_only_what_is_new_is_read_and_half_a_line_waits_for_its_rest(tmp_path):
    path = write(tmp_path, [job_row(), TrialRow(trial="00", config={})]) / "events.jsonl"
    board = read_whole(tmp_path)
    line = encode_row(result("00", 1, 0.5)).encode() + b"\n"
    with path.open("ab") as file:
        file.write(line[:40])
        file.flush()
        before = board.read_to
        board.refresh()
        assert board.read_to == before and not board.trial_results
        file.write(line[40:])
    board.refresh()
    assert board.read_to == path.stat().st_size
    assert board.get_curve("00", "", 10) == [(1, 0.5)]


def test_a_line_that_is_no_row_is_passed_over(tmp_path):
    path = write(tmp_path, [job_row(), result("00", 1, 0.5)]) / "events.jsonl"
    with path.open("a") as file:
        file.write('{"kind": "resu\n{"kind": "unheard of"}\n[1]\n')
    EventLog(path).append(result("00", 2, 0.4))
    assert read_whole(tmp_path).get_curve("00", "", 10) == [(1, 0.5), (2, 0.4)]


def test_a_log_that_was_replaced_by_a_shorter_one_is_read_anew(tmp_path):
    board = read_whole(write(tmp_path, synthetic_rows()))
    write(tmp_path, [job_row(run="another"), result("00", 1, 0.5)])
    board.refresh()
    assert board.job.run == "another" and list(board.trial_results) == ["00"]


def test_what_a_resume_repeats_replaces_what_was_there(tmp_path):
    first = [job_row(), *(result("00", i, float(i)) for i in range(1, 6))]
    again = [end("00", 5, "interrupted"), job_row(resumed=True), result("00", 4, 40.0)]
    board = read_whole(write(tmp_path, first + again))
    assert board.get_curve("00", "", 10) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]
    assert board.build_outcome().trials[0].end_reason is None


def test_a_long_run_is_thinned_and_keeps_its_spikes_and_its_best_checkpoint(tmp_path):
    length, spike = 5 * MAX_RESULTS, 1234
    rows: list[Row] = [job_row(keep="best", iterations=length)]
    for i in range(1, length + 1):
        rows.append(result("00", i, 99.0 if i == spike else 1.0 + (i % 7) / 100))
        if i == 2500:
            rows[-1] = result("00", i, 0.01)
        if i % 500 == 0:
            rows.append(CheckpointRow(trial="00", iteration=i, path=f"checkpoint-{i}"))
    board = read_whole(write(tmp_path, rows))
    assert len(board.trial_results["00"].points) <= MAX_RESULTS
    curve = board.get_curve("00", "", 100)
    assert len(curve) <= 100 and curve[0][0] == 1 and curve[-1][0] == length
    assert (spike, 99.0) in curve
    assert board.build_outcome().trials[0].checkpoint == "checkpoint-2500"


def test_thinning_keeps_both_ends_and_the_extremes_of_every_stretch():
    points = [ResultPoint(i, float((i * 37) % 101), i, 1) for i in range(1000)]
    kept = thin_points(points, 50)
    assert len(kept) <= 50 and kept[0] == points[0] and kept[-1] == points[-1]
    assert {p.score for p in kept} >= {0.0, 100.0}
    assert kept == sorted(kept)


def test_another_metric_is_read_from_the_whole_rows(tmp_path):
    rows = [job_row()]
    values = [0.5, None, float("inf"), 0.25]
    rows += [result("00", i, 1.0, metrics={"kl": v}) for i, v in enumerate(values, start=1)]
    board = read_whole(write(tmp_path, rows))
    assert board.get_curve("00", "kl", 10) == [(1, 0.5), (2, None), (3, None), (4, 0.25)]


def test_every_decision_finding_and_end_is_told_in_words(tmp_path):
    rows = synthetic_rows()
    board = read_whole(write(tmp_path, rows))
    told = views.list_events(board, 0)
    kinds = ("decision", "finding", "end")
    assert [t["kind"] for t in told if t["kind"] in kinds] == [
        row.kind for row in rows if row.kind in kinds
    ]
    assert views.build_run_state(board)["num_events"] == len(told)
    assert views.list_events(board, len(told) - 2) == told[-2:]
    finding = next(t for t in told if t["kind"] == "finding")
    assert finding["text"].startswith("KL 14.2 at iteration 2") and finding["remedy"]


def test_the_whole_state_is_strict_json(tmp_path):
    rows = [*synthetic_rows(), result("01", 40, float("nan"), metrics={"kl": float("inf")})]
    board = read_whole(write(tmp_path, rows))
    for data in (
        views.build_run_state(board),
        views.build_curves(board, ""),
        views.build_curves(board, "kl"),
    ):
        json.dumps(data, allow_nan=False)
    for name in TAB_BUILDERS:
        json.dumps(build_tab(board, name), allow_nan=False)


def test_a_run_that_has_just_begun_can_be_looked_at(tmp_path):
    write(tmp_path, [])
    assert views.build_run_state(read_whole(tmp_path))["job"] is None
    write(tmp_path, [job_row()])
    state = views.build_run_state(read_whole(tmp_path))
    assert state["trials"] == [] and state["cards"][0]["value"] == "-"


def test_the_familys_own_picture_is_on_the_page(tmp_path):
    told = EpisodeTrace("What is seen.", ["step"], [Frame("begin", ["0"])], ["X<1>"], [])
    row = EvaluationRow(
        trial="01", checkpoint="", episodes=1, seed=0, policy={}, experiment=told.to_dict()
    )
    rows = [*(r for r in synthetic_rows() if r.kind != "evaluation"), row]
    parts = build_tab(read_whole(write(tmp_path, rows)), "picture")
    assert "<svg" in parts[0]["html"]
    assert "X&lt;1&gt;" in parts[0]["html"] and "X<1>" not in parts[0]["html"]


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


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(page):
    status, headers, _ = get(page, f"runs?x=1&token={TOKEN}")
    assert status == 303 and headers["location"] == "/runs?x=1"
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
    assert get(page, "runs", Cookie=cookie.partition(";")[0])[0] == 200


def test_a_page_from_elsewhere_cannot_use_the_cookie(page):
    headers = {"Cookie": f"{auth.COOKIE}={TOKEN}", "Origin": "http://elsewhere.example"}
    assert get(page, "runs", **headers)[0] == 401


def test_an_address_with_two_slashes_does_not_lead_to_another_host(page):
    _, headers, _ = get(page, f"/elsewhere.example/?token={TOKEN}")
    assert headers["location"].startswith("/elsewhere")


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


def test_the_token_file_is_only_for_its_owner(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    token = auth.load_or_create_token()
    assert len(token) > 30 and auth.load_or_create_token() == token
    assert auth.get_token_path().stat().st_mode & 0o777 == 0o600
    auth.get_token_path().chmod(0o644)
    with pytest.raises(InputError, match="can read"):
        auth.load_or_create_token()


def test_without_a_token_only_this_machine_is_served():
    assert auth.choose_token("127.0.0.1", require_token=False) is None
    for host in ("0.0.0.0", "192.0.2.1", "::", "example.org"):
        with pytest.raises(InputError, match="can reach"):
            auth.choose_token(host, require_token=False)


def test_the_command_prints_the_address_and_ends_on_ctrl_c(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    write(tmp_path / "runs" / "sweep", synthetic_rows())
    words = command("dashboard", "runs", "--port", 0, "--json")
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        status, _, body = get(said["url"], "runs", **bearer(said["token"]))
        assert status == 200 and [r["name"] for r in json.loads(body)["runs"]] == ["sweep"]
        assert get(said["url"], "runs")[0] == 401
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stdout.read() == ""
    finally:
        process.kill()


@needs_browser
def test_a_browser_shows_a_run_that_grows_without_asking_anybody_else(tmp_path):
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
        written = time.monotonic()
        tab.wait("document.getElementById('cards').textContent.includes('time taken')")
        lag = time.monotonic() - written
        assert tab.wait(f"{points} > {before}")
        assert lag < 5  # on an overloaded machine; the goal of 1 s is measured by the benchmark
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
        tab.wait("document.querySelectorAll('#panel table tr').length > 16")
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
            until(lambda: is_stop_requested(run, "00"))
            click("Stop this job")
            until(lambda: is_stop_requested(run))
        EventLog(run / "events.jsonl").append(JobEndRow(reason="interrupted", seconds=1.0))
        click("Resume trial 01")
        until(lambda: read_order(run) is not None)
        last = read_event_log(run / "events.jsonl")[-1]
        assert isinstance(last, EndRow) and last.sentence == "resumed by request"
        assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
        assert tab.errors == []


def until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)
