"""Who may talk to our servers: a token in a file of one's own, asked for at every door.

The page, the policies served and the service share one token. It is in ``~/.rungwise/token``,
which only its owner can read. A browser is given it once in the address and keeps it in a cookie;
programs send ``Authorization: Bearer``.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import stat
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from envs.validation import InputError

COOKIE = "rungwise_token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: "
    "blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security: nothing from elsewhere, no script within a page. Plotly needs inline styles."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
MAX_REQUEST_BYTES = 16 * 2**20
"""Bytes that a request may have."""


def get_token_path() -> Path:
    """Where the token of this user is."""
    return Path.home() / ".rungwise" / "token"


def load_or_create_token() -> str:
    """This user's token, made at the first call.

    Raises:
        InputError: others may read its file, or it is empty.
    """
    path = get_token_path()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(file, "w") as out:
            out.write(secrets.token_urlsafe(32) + "\n")
    if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
        raise InputError(
            f"{path} may be read by others (mode {mode:o}), so its token is no secret: delete the "
            "file, a new one is made."
        )
    if not (token := path.read_text().strip()):
        raise InputError(f"{path} is empty: delete the file, a new one is made.")
    return token


def choose_token(host: str, require_token: bool) -> str | None:
    """The token to ask for at ``host``; None asks for none, which only loopback may do.

    Raises:
        InputError: another host without a token.
    """
    if require_token:
        return load_or_create_token()
    if not is_loopback(host):
        raise InputError(
            f"--host {host} can be reached by others, so a token is needed there: leave out "
            "--no-token, or use --host 127.0.0.1."
        )
    return None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class TokenMiddleware:
    """Lets in who has the token; everybody else gets 401. Adds the security headers."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_REQUEST_BYTES:  # of a body sent in chunks no header tells the length
                raise HTTPException(413, f"A request may have {MAX_REQUEST_BYTES} bytes at most.")
            return message

        response = self._refusal(scope)
        await (response or self.app)(scope, limited, guarded)

    def _refusal(self, scope: Scope) -> JSONResponse | RedirectResponse | None:
        headers = Headers(scope=scope)
        if not headers.get("content-length", "0").isdecimal():
            return _make_error_response(400, "Content-Length is not a number.")
        if int(headers.get("content-length", "0")) > MAX_REQUEST_BYTES:
            return _make_error_response(
                413, f"A request may have {MAX_REQUEST_BYTES} bytes at most."
            )
        if self.token is None:
            # Without a token a page from elsewhere must not be able to act through the browser.
            return (
                None
                if _has_own_origin(headers)
                else _make_error_response(403, "This comes from another site.")
            )
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(asked).get("token")
        if given is not None and self._is_token(given):
            return _redirect_with_cookie(
                scope, [pair for pair in asked if pair[0] != "token"], given
            )
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_token(bearer):
            return None
        if self._is_token(_cookie(headers)) and _has_own_origin(headers):
            return None
        return _make_error_response(
            401,
            "A token is needed: open the address that the command printed, or send the header "
            "`Authorization: Bearer TOKEN`.",
        )

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self.token or "").encode())


def _redirect_with_cookie(
    scope: Scope, other_parameters: list[tuple[str, str]], token: str
) -> RedirectResponse:
    """The same address without the token, which is in a cookie from now on."""
    # One slash: two would lead to another host.
    path = "/" + scope["path"].lstrip("/\\")
    response = RedirectResponse(
        path + ("?" + urlencode(other_parameters) if other_parameters else ""), status_code=303
    )
    response.set_cookie(COOKIE, token, max_age=30 * 86400, httponly=True, samesite="lax")
    return response


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _has_own_origin(headers: Headers) -> bool:
    """Whether a browser's request comes from our own page; programs send no origin."""
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _make_error_response(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)
