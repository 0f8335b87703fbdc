# pyright: basic
"""The pages below the path prefix of a reverse proxy, and as their users may use them."""

import json

import pytest
from chromium import browser, needs_browser
from dashboard_app import get, shown, write
from dashboard_tab import press, wait_for_rows
from prefix_proxy import below_prefix
from synthetic_sweep import synthetic_rows
from waiting import wait_until

from cluster.web.auth_users import ACTIONS
from rungwise.run_log.driver_lock import LOCK, file_lock
from rungwise.run_log.events import EndRow, JobEndRow
from rungwise.run_log.stop_requests import is_stop_requested

pytestmark = [pytest.mark.system, needs_browser]
PREFIX = "/rungwise"
READER, ACTOR = "a-token-of-one-who-reads", "a-token-of-one-who-acts"
SHOWN_TRIALS = "document.querySelectorAll('.ag-row').length"


@pytest.fixture
def running(tmp_path):
    """A sweep of which nothing has ended."""
    rows = [row for row in synthetic_rows() if not isinstance(row, EndRow | JobEndRow)]
    run = write(tmp_path / "runs" / "sweep", rows)
    with file_lock(run / LOCK):
        yield run


def test_all_pages_work_below_a_prefix(running, tmp_path):
    root = running.parent
    (running / "report.html").write_text("<p>the report</p>")
    write(root / "other", synthetic_rows())
    with (
        shown(root) as (url, address),
        below_prefix(url, PREFIX) as proxied,
        browser(tmp_path / "profile") as tab,
    ):
        tab.open(proxied + "?" + address.partition("?")[2])
        wait_for_rows(tab, 2)
        assert tab.ask("location.pathname") == f"{PREFIX}/"
        press(tab, "sweep")
        wait_for_rows(tab, 10)  # its scripts and its socket work
        assert tab.ask("location.pathname") == f"{PREFIX}/run/sweep"
        press(tab, "Findings")
        tab.wait("location.search.includes('tab=Findings')")
        assert tab.ask("location.pathname") == f"{PREFIX}/run/sweep"
        press(tab, "trial 0")
        tab.wait(f"location.pathname.startsWith('{PREFIX}/run/sweep/trial/0')")
        tab.wait("document.querySelectorAll('.js-plotly-plot').length")
        tab.open(proxied + "run/sweep")
        wait_for_rows(tab, 10)
        link = "[...document.querySelectorAll('a')].find(e => e.textContent === 'Report')"
        assert tab.wait(f"{link}.href") == f"{proxied}run/sweep/report"
        press(tab, "All runs")
        tab.wait(f"location.pathname === '{PREFIX}/'")
        wait_for_rows(tab, 2)
        own = (proxied, "data:", "blob:", proxied.replace("http", "ws"))
        assert [request for request in tab.requests if not request.startswith(own)] == []
        assert tab.errors == []


def test_the_dashboard_of_one_run_opens_its_page_below_a_prefix(running):
    with shown(running) as (url, address), below_prefix(url, PREFIX) as proxied:
        token = {"Authorization": f"Bearer {address.partition('token=')[2]}"}
        status, headers, _ = get(proxied, f"{PREFIX[1:]}/", **token)
        assert (status, headers["location"]) == (307, f"{PREFIX}/run/sweep")
        assert get(proxied, "run/sweep", **token)[0] == 404, "which is not below the prefix"


def test_a_reader_has_no_buttons_and_a_click_is_logged_by_name(running, tmp_path):
    users = tmp_path / "users.yaml"
    users.touch(0o600)
    entries = {"rita": (READER, "read"), "adam": (ACTOR, "act")}
    users.write_text(json.dumps({n: {"token": t, "role": r} for n, (t, r) in entries.items()}))
    stop = "[...document.querySelectorAll('button')].some(e => e.textContent === 'Stop this job')"
    with shown(running.parent, "dashboard", "--users", str(users)) as (url, _):
        for token in (READER, ACTOR):
            with browser(tmp_path / token) as tab:
                tab.open(f"{url}run/sweep?token={token}")
                wait_for_rows(tab, 10)
                if token == READER:
                    assert not tab.ask(stop)
                    continue
                press(tab, "Stop this job")
                wait_until(lambda: is_stop_requested(running))
                log = running.parent / ACTIONS
                wait_until(log.is_file)
                row = json.loads(log.read_text())
                assert (row["user"], row["action"], row["run"]) == ("adam", "stop", "sweep")
