"""Authentication of all servers: one token per user, required by every request.

Dashboard, policy server and service share the token. It is in ``~/.rungwise/token``, which only its
owner can read. A browser receives it once, in the address, and keeps it in a cookie; programs send
``Authorization: Bearer``.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.web.auth_users import USER, User, check_is_secret
from rungwise.validation import InputError
from rungwise.write_errors import refuse_unwritable

COOKIE = "rungwise_token"
HEALTH = "/healthz"
"""The path that is answered without a token."""
PREFIX = re.compile(r"(/[\w.-]+)*")
"""What a proxy says in X-Forwarded-Prefix: a path, and never another host."""
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content security policy of all answers but the pages, which have one of their own."""
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
MAX_REQUEST_BYTES = 16 * 2**20
"""Largest request, in bytes."""
TOO_LARGE = f"The request is too large: at most {MAX_REQUEST_BYTES} bytes are accepted."


def get_token_path() -> Path:
    """Return the path of this user's token."""
    return Path.home() / ".rungwise" / "token"


def load_or_create_token() -> str:
    """Return this user's token; the first call creates it.

    Raises:
        InputError: other users can read its file, it is empty, or it cannot be written.
    """
    path = get_token_path()
    with refuse_unwritable(path, "set HOME to a folder where you can write"):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # The mode is set as the file is created: a later chmod would leave it readable for a
        # moment. O_EXCL keeps a second process from replacing the token that the first one uses.
        with suppress(FileExistsError):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w") as out:
                out.write(secrets.token_urlsafe(32) + "\n")
    # A copy or a restored backup may have widened the mode since.
    check_is_secret(path, "delete the file, and a new one is created")
    if not (token := path.read_text().strip()):
        raise InputError(f"{path} is empty: delete the file, and a new one is created.")
    return token


def choose_token(host: str, require_token: bool) -> str | None:
    """Return the token to require on ``host``; None requires none.

    Raises:
        InputError: no token is to be required on a host that other machines can reach.
    """
    if require_token:
        return load_or_create_token()
    if not is_loopback(host):
        raise InputError(
            f"Other machines can reach --host {host}, so it needs a token: leave out --no-token, "
            "or use --host 127.0.0.1."
        )
    return None


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on the host."""
    try:
        # Other names are not resolved: their address may be another one when the server binds it.
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class TokenMiddleware:
    """Middleware that answers 401 without the token and adds security headers.

    Args:
        app: the application.
        token: the token to require, that of the owner; None requires none.
        users: others who have tokens of their own.

    Raises:
        InputError: there are users, but no token is required.
    """

    def __init__(self, app: ASGIApp, token: str | None, users: Sequence[User] = ()) -> None:
        if users and token is None:
            raise InputError("--users needs tokens: leave out --no-token.")
        self.app, self.users = app, users
        self.owner = None if token is None else User(token, "act", "owner")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "websocket" and self._refuse(scope):
            # Closed before it is accepted, which a browser sees as status 403.
            await send({"type": "websocket.close", "code": 1008})
            return
        # The start and the end of the server are announced here, too.
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("content-security-policy", POLICY)
            await send(message)

        received_bytes = 0

        async def receive_limited() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > MAX_REQUEST_BYTES:  # a chunked body has no Content-Length
                raise HTTPException(413, TOO_LARGE)
            return message

        # What restarts a server that hangs has no token, and learns nothing but that it answers.
        is_probe = scope["path"] == HEALTH
        response = PlainTextResponse("ok\n") if is_probe else self._refuse(scope)
        await (response or self.app)(scope, receive_limited, send_with_headers)

    def _refuse(self, scope: Scope) -> JSONResponse | RedirectResponse | None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        # int() would accept a negative length, which passes the limit, and refuses long numbers.
        if not length.isdecimal() or len(length) > 20:
            return _make_error_response(
                400, "Content-Length must be a number of at most 20 digits."
            )
        if int(length) > MAX_REQUEST_BYTES:
            return _make_error_response(413, TOO_LARGE)
        if self.owner is None:
            USER.set(None)
            return _refuse_other_sites(headers)
        # Latin-1 decodes any bytes, so no query can raise an error before it is authenticated.
        parameters = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(parameters).get("token")
        if given is not None and self._find_user(given):
            return _redirect_with_cookie(
                scope, [pair for pair in parameters if pair[0] != "token"], given
            )
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if user := self._find_user(bearer):
            USER.set(user if self.users else None)
            return None
        # SameSite does not distinguish ports, so a page of another server on this host could use
        # the cookie: the origin must match, too.
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if (user := self._find_user(cookie)) and _has_own_origin(headers):
            USER.set(user if self.users else None)
            return None
        return _make_error_response(
            401,
            "A token is required: open the address that the command printed, or send the header "
            "`Authorization: Bearer TOKEN`.",
        )

    def _find_user(self, token: str) -> User | None:
        # In constant time: how long a comparison takes must not show how many characters are right.
        # Encoded, because compare_digest refuses strings that are not ASCII.
        known = [*([self.owner] if self.owner else []), *self.users]
        same = [u for u in known if hmac.compare_digest(token.encode(), u.token.encode())]
        return same[0] if same else None


def _redirect_with_cookie(
    scope: Scope, other_parameters: list[tuple[str, str]], token: str
) -> RedirectResponse:
    """Redirect to the same address without the token, and store the token in a cookie."""
    # One slash: a path that begins with two would lead to another host.
    path = "/" + scope["path"].lstrip("/\\")
    prefix = Headers(scope=scope).get("x-forwarded-prefix", "")
    path = prefix + path if PREFIX.fullmatch(prefix) else path
    # The token must not stay in the address, which histories, bookmarks and screenshots keep.
    response = RedirectResponse(
        path + ("?" + urlencode(other_parameters) if other_parameters else ""), status_code=303
    )
    # No script can read the cookie. The servers speak plain HTTP, and a proxy may speak HTTPS.
    options: dict[str, Any] = {"httponly": True, "samesite": "lax"}
    is_https = scope.get("scheme") == "https"
    response.set_cookie(COOKIE, token, max_age=30 * 86400, secure=is_https, **options)
    return response


def _has_own_origin(headers: Headers) -> bool:
    """Return whether a request comes from our own page or a program, which sends no origin."""
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _refuse_other_sites(headers: Headers) -> JSONResponse | None:
    """Refuse what a page of another site sends through the browser of this machine's user."""
    # An attacker's name can be made to resolve to 127.0.0.1 (DNS rebinding). Origin and Host then
    # agree, so only the name itself shows that the page is not ours.
    host = headers.get("host", "")
    if not is_loopback(_get_host_name(host)):
        return _make_error_response(
            403,
            f"A server without a token answers on 127.0.0.1 and localhost only, but the request "
            f"is for the host {host!r}: use such an address, or start it without --no-token.",
        )
    if not _has_own_origin(headers):
        return _make_error_response(403, "The request comes from a page of another site.")
    return None


def _get_host_name(host: str) -> str:
    """Return the name or the address in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # a bracket without its other half
        return ""


def _make_error_response(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)
