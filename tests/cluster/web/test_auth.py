# pyright: basic
"""Who is let in, without a server: the gate is called as an ASGI server calls it."""

import asyncio
import json
import stat
from pathlib import Path
from unittest.mock import AsyncMock
from urllib.parse import urlsplit

import pytest
from starlette.responses import PlainTextResponse

from cluster.web import auth
from cluster.web.auth import (
    HEADERS,
    MAX_REQUEST_BYTES,
    TokenMiddleware,
    choose_token,
    get_token_path,
    is_loopback,
    load_or_create_token,
)
from rungwise.validation import InputError

TOKEN = "a-secret-token"
HOST = ("host", "here:8000")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


async def page(scope, receive, send):
    """An application that answers with how much it was sent."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await PlainTextResponse(str(size))(scope, receive, send)


def call(
    path="/", *headers, token: str | None = TOKEN, parts=(b"",), query="", host=HOST, scheme="http"
):
    """Status, headers (names in lower case, the last of each) and body of one request."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "scheme": scheme,
        "query_string": query.encode(),
        "headers": [(n.encode(), v.encode()) for n, v in (host, *headers)],
    }
    waiting = [
        {"type": "http.request", "more_body": i + 1 < len(parts)}
        | ({} if body is None else {"body": body})
        for i, body in enumerate(parts)
    ]
    sent = []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(TokenMiddleware(page, token)(scope, receive, send))
    names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], names, body.decode()


def bearer(token=TOKEN):
    return "authorization", f"Bearer {token}"


def test_a_token_is_created_once_and_readable_by_its_owner_only(home):
    token = load_or_create_token()
    path = get_token_path()
    assert path == home / ".rungwise" / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(token) >= 43 and path.read_text() == token + "\n"
    assert load_or_create_token() == token


def test_each_user_has_another_token(home, monkeypatch):
    first = load_or_create_token()
    get_token_path().unlink()
    assert load_or_create_token() != first


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o601, 0o620, 0o602])
def test_a_token_that_others_can_reach_is_refused(home, mode):
    load_or_create_token()
    get_token_path().chmod(mode)
    with pytest.raises(InputError, match=f"can read .* .mode {mode:o}."):
        load_or_create_token()


def test_a_token_that_its_owner_may_only_read_is_taken(home):
    token = load_or_create_token()
    get_token_path().chmod(0o400)
    assert load_or_create_token() == token


def test_a_home_that_cannot_be_written_is_refused(home):
    (home / ".rungwise").touch()
    with pytest.raises(InputError, match=r"token cannot be written \(File exists\): set HOME"):
        load_or_create_token()


def test_an_empty_token_is_refused(home):
    get_token_path().parent.mkdir()
    get_token_path().write_text(" \n")
    get_token_path().chmod(0o600)
    with pytest.raises(InputError, match="is empty"):
        load_or_create_token()


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.4", False),
        ("localhost.example.org", False),
    ],
)
def test_a_server_without_a_token_listens_on_this_machine_alone(home, host, is_own):
    assert is_loopback(host) == is_own
    assert choose_token(host, require_token=True) == load_or_create_token()
    if is_own:
        assert choose_token(host, require_token=False) is None
    else:
        with pytest.raises(InputError, match="needs a token"):
            choose_token(host, require_token=False)


def test_programs_are_let_in_with_the_token_in_a_header():
    status, headers, body = call("/runs", bearer())
    assert (status, body) == (200, "0")
    assert headers.items() >= HEADERS.items()


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (bearer(""),),
        (bearer("another"),),
        (bearer(TOKEN + "x"),),
        (("authorization", f"Basic {TOKEN}"),),
        (("cookie", "rungwise_token=another"),),
        (("cookie", f"other={TOKEN}"),),
        (("cookie", 'a[="; rungwise_token'),),
        (("cookie", "a,b=c"),),
    ],
    ids=str,
)
def test_who_has_no_token_is_refused_with_the_security_headers(headers):
    status, found, body = call("/", *headers)
    assert status == 401 and "Bearer TOKEN" in json.loads(body)["error"]
    assert found.items() >= HEADERS.items()


def test_a_browser_gets_a_cookie_and_an_address_without_token():
    status, headers, _ = call("/runs", query=f"a=1&token={TOKEN}&b=&a=2")
    assert (status, headers["location"]) == (303, "/runs?a=1&b=&a=2")
    cookie = headers["set-cookie"].split("; ")
    assert cookie[0] == f"{auth.COOKIE}={TOKEN}"
    assert {"HttpOnly", "Max-Age=2592000", "SameSite=lax"} <= set(cookie)
    assert call("/runs", query=f"token={TOKEN}")[1]["location"] == "/runs"


def test_a_token_of_another_server_in_the_address_lets_no_one_in():
    assert call("/", query="token=another")[0] == 401
    assert call("/", query="token=")[0] == 401
    assert call("/", bearer(), query="token=another")[0] == 200


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "///evil.example"])
def test_the_way_back_never_leads_to_another_host(path):
    location = call(path, query=f"token={TOKEN}")[1]["location"]
    assert location == "/evil.example" and not urlsplit(location).netloc


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/rungwise", "/rungwise/runs"),
        ("//evil.example", "/runs"),
        ("/a b", "/runs"),
        ("", "/runs"),
    ],
)
def test_the_way_back_stays_below_the_prefix_of_a_proxy(prefix, path):
    location = call("/runs", ("x-forwarded-prefix", prefix), query=f"token={TOKEN}")[1]["location"]
    assert location == path


def test_cookie_behind_https_is_sent_over_https_only():
    assert "Secure" in call("/", query=f"token={TOKEN}", scheme="https")[1]["set-cookie"]
    assert "Secure" not in call("/", query=f"token={TOKEN}")[1]["set-cookie"]


def test_health_is_answered_without_a_token_and_nothing_else():
    assert call("/healthz")[::2] == (200, "ok\n")
    assert call("/healthz/runs")[0] == 401


def test_a_cookie_counts_only_on_our_own_pages():
    cookie = ("cookie", f"{auth.COOKIE}={TOKEN}")
    assert call("/", cookie)[0] == 200
    assert call("/", cookie, ("origin", "http://here:8000"))[0] == 200
    assert call("/", cookie, ("origin", "http://evil.example"))[0] == 401
    assert call("/", cookie, ("origin", "null"))[0] == 401
    # A header is no browser's doing: it counts whatever the origin is.
    assert call("/", bearer(), ("origin", "http://evil.example"))[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8470", 200),
        ("localhost:8470", 200),
        ("LOCALHOST", 200),
        ("[::1]:8470", 200),
        ("evil.example:8470", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("evil.example@127.0.0.1.example", 403),
        ("192.168.1.4:8470", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_without_a_token_only_names_of_this_machine_are_served(host, status):
    """A page whose name resolves to this machine sends Host and Origin that agree."""
    for headers in ((), (("origin", f"http://{host}"),)):
        assert call("/", *headers, token=None, host=("host", host))[0] == status


def test_without_a_token_pages_from_elsewhere_are_refused():
    here = ("host", "localhost:8000")
    assert call("/", ("origin", "https://localhost:8000"), token=None, host=here)[0] == 200
    for elsewhere in ("http://evil.example", "http://localhost:9000", "null"):
        status, headers, body = call("/", ("origin", elsewhere), token=None, host=here)
        assert status == 403 and "another site" in json.loads(body)["error"]
        assert headers.items() >= HEADERS.items()


@pytest.mark.parametrize(
    ("length", "status"),
    [
        ("ten", 400),
        ("-1", 400),
        ("", 400),
        ("9" * 5000, 400),
        (str(MAX_REQUEST_BYTES), 200),
        (str(MAX_REQUEST_BYTES + 1), 413),
    ],
)
def test_the_announced_length_of_a_request_has_a_limit(length, status):
    found, headers, body = call("/", bearer(), ("content-length", length))
    assert found == status and headers.items() >= HEADERS.items()
    if status == 413:
        assert str(MAX_REQUEST_BYTES) in json.loads(body)["error"]


def test_a_body_in_chunks_has_the_same_limit(monkeypatch):
    assert MAX_REQUEST_BYTES == 16 * 2**20
    monkeypatch.setattr(auth, "MAX_REQUEST_BYTES", 10)
    assert call("/", bearer(), parts=(b"12345", b"67890"))[2] == "10"
    with pytest.raises(auth.HTTPException) as caught:
        call("/", bearer(), parts=(b"12345", b"67890", b"1"))
    assert caught.value.status_code == 413 and "too large" in caught.value.detail


def test_a_message_without_a_body_counts_as_no_bytes(monkeypatch):
    monkeypatch.setattr(auth, "MAX_REQUEST_BYTES", 0)
    status, _, size = call("/", bearer(), parts=(None,))
    assert (status, size) == (200, "0")


def test_what_is_no_request_passes_unasked():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    scope = {"type": "lifespan"}
    receive, send = AsyncMock(), AsyncMock()
    asyncio.run(TokenMiddleware(app, TOKEN)(scope, receive, send))
    assert seen == [(scope, receive, send)]


def test_a_token_of_any_characters_is_refused_without_an_error():
    assert call("/", bearer("schlüssel"))[0] == 401
