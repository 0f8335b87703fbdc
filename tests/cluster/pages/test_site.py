# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The site of the live pages: access, refusals, and nothing from other hosts."""

import json
import re
from urllib.parse import quote

import pytest
from chromium import browser, needs_browser
from dashboard_app import get, shown, write
from synthetic_sweep import synthetic_rows
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from cluster.web import auth
from rungwise.run_log.events import VideoRow

pytestmark = pytest.mark.system

SOCKET = "_nicegui_ws/socket.io/?EIO=4&transport="
PATHS = ["", "run/sweep", "run/sweep/trial/08", "run/sweep/report", "nothing", "api/jobs"]


NO_VIDEOS = ["page.html", "../page.mp4", "/etc/hostname"]
"""What the log of a run from elsewhere may call a video."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("site") / "runs"
    planted = [VideoRow(trial="00", checkpoint="x", path=path) for path in NO_VIDEOS]
    run = write(root / "sweep", [*synthetic_rows(), *planted])
    for page in ("report.html", "page.html", "../page.mp4"):
        (run / page).write_text("<script>1</script>")
    with shown(root) as (url, address):
        yield url, address, address.partition("token=")[2]


@pytest.mark.parametrize("path", [*PATHS, SOCKET + "polling"])
def test_without_the_token_every_address_is_refused(site, path):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{auth.COOKIE}=wrong"}):
        status, _, body = get(site[0], path, **headers)
        assert status == 401 and "token" in json.loads(body)["error"]


def test_a_socket_is_opened_with_the_token_and_from_the_own_page_only(site):
    url, _, token = site
    address = url.replace("http", "ws") + SOCKET + "websocket"
    cookie = {"Cookie": f"{auth.COOKIE}={token}"}
    for headers in ({}, cookie | {"Origin": "http://elsewhere.example"}):
        with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers):
            pass
        assert refused.value.response.status_code == 403
    own = cookie | {"Origin": url.rstrip("/")}
    with connect(address, additional_headers=own) as socket:
        assert socket.recv()


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_security_headers(site, path):
    url, _, token = site
    for headers in ({"Authorization": f"Bearer {token}"}, {}):
        _, got, body = get(url, path, **headers)
        policy = got["content-security-policy"]
        assert "'unsafe-inline'" not in policy.partition("style-src")[0] or "sandbox" in policy
        assert got["x-content-type-options"] == "nosniff" and got["referrer-policy"]
        if marks := set(re.findall(r"<script nonce=\"([^\"]+)\"", body)):
            assert len(marks) == 1 and f"'nonce-{marks.pop()}'" in policy
            assert "<script>" not in body


def test_a_report_from_elsewhere_cannot_act_as_the_page(site):
    url, _, token = site
    status, got, body = get(url, "run/sweep/report", Authorization=f"Bearer {token}")
    assert status == 200 and "<script>1</script>" in body
    assert got["content-security-policy"].startswith("sandbox allow-scripts;")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("run/swep", "There is no run &#x27;swep&#x27;"),
        ("run/swep", "The nearest is sweep."),
        ("run/..%2F..%2Fetc", "There is no"),
        ("run/sweep/trial/81", "sweep has no trial &#x27;81&#x27;. The nearest is"),
        ("run/sweep/video/..%2Fevents.jsonl", "has no video"),
        *((f"run/sweep/video/{quote(path, safe='')}", "has no video") for path in NO_VIDEOS),
        ("nothing", "There is no page /nothing."),
    ],
)
def test_what_is_not_there_is_refused_with_a_sentence(site, path, sentence):
    status, _, body = get(site[0], path, Authorization=f"Bearer {site[2]}")
    assert status == 404
    assert sentence in body.replace("&amp;#x27;", "&#x27;").replace("'", "&#x27;")


def test_the_dashboard_of_one_run_opens_its_page(tmp_path):
    run = write(tmp_path / "alone", synthetic_rows())
    with shown(run) as (url, address):
        token = address.partition("token=")[2]
        status, headers, _ = get(url, "", Authorization=f"Bearer {token}")
        assert (status, headers["location"]) == (307, "/run/alone")


@needs_browser
@pytest.mark.parametrize("path", ["", "run/sweep", "run/sweep?tab=Curves", "run/sweep/trial/08"])
def test_pages_fit_a_phone_are_light_or_dark_and_ask_no_other_host(site, path, tmp_path):
    url, address, _ = site
    with browser(tmp_path / "profile") as tab:
        tab.open(address, width=390, height=844)
        tab.wait("document.querySelectorAll('h1').length")
        tab.open(url + path, width=390, height=844)
        tab.wait("document.querySelectorAll('h1').length")
        tab.wait("document.querySelectorAll('.ag-row, .js-plotly-plot').length")
        shades = []
        for dark in (False, True):
            tab.dark(dark)
            tab.wait(f"document.body.classList.contains('body--dark') === {str(dark).lower()}")
            shades.append(tab.ask("getComputedStyle(document.body).color"))
        assert [sum(map(int, re.findall(r"\d+", shade)[:3])) > 384 for shade in shades] == [0, 1]
        assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
        assert "token" not in tab.ask("location.href")
        assert [r for r in tab.requests if not r.startswith((url, "data:", "blob:"))] == []
        assert tab.errors == []
