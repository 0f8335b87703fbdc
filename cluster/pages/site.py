"""The site: its addresses, its security policy, and the page for what is not there."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI
from nicegui import app as toolkit
from nicegui import ui
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.pages.compare_page import show_comparison
from cluster.pages.frame import Desk, begin_page, heading, paragraph
from cluster.pages.overview import OverviewPage, RunRows
from cluster.pages.run_page import RunPage
from cluster.pages.trial_page import TrialPage
from cluster.queue.run_queue import RunQueue
from cluster.web.auth import TokenMiddleware
from cluster.web.auth_users import User
from cluster.web.http_api import METRICS, ApiHandlers, make_api
from cluster.web.server import open_runs
from tune_jobs.report import report

POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; "
    "media-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Content security policy of the pages: own files only, and no inline script but the toolkit's.

The toolkit compiles its templates in the browser, which needs eval."""
REPORT_POLICY = f"sandbox allow-scripts; {report.POLICY}"
"""The report's own, in an origin of its own: a run from elsewhere may bring any report."""
READ_S = 300.0
"""Longest time to read the whole logs that a page needs before it can be built."""
RECONNECT_S = 15.0
"""Seconds for which a page that lost its connection is remembered."""


def make_dashboard(
    root: Path, token: str | None, queue: RunQueue | None = None, users: Sequence[User] = ()
) -> TokenMiddleware:
    """Make the API together with the pages; a process can have one dashboard.

    Args and errors are those of :func:`cluster.web.server.make_app`.
    """
    handlers = open_runs(root, queue)
    return TokenMiddleware(ByPath(make_api(handlers), _make_pages(handlers)), token, users)


class ByPath:
    """Leads what is below ``/api``, and ``/metrics``, to the API, and all else to the pages."""

    def __init__(self, api: FastAPI, pages: FastAPI) -> None:
        self.api, self.pages = api, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the server's start and end, which only the pages need."""
        path = scope.get("path", "")
        is_api = path in ("/api", METRICS) or path.startswith("/api/")
        app: ASGIApp = self.api if is_api else self.pages
        await app(scope, receive, send)


def _make_pages(handlers: ApiHandlers) -> FastAPI:
    desk, rows = Desk(handlers.runs, handlers), RunRows(handlers.runs)
    site = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @ui.page("/")
    def show_overview() -> RedirectResponse | None:
        runs = desk.runs.list_runs()
        if runs == [desk.runs.root.resolve()]:  # the dashboard of one run
            return RedirectResponse(f"/run/{quote(runs[0].name)}")
        OverviewPage(desk, rows)
        return None

    @ui.page("/run/{name}")
    async def show_run(name: str, request: Request) -> None:
        await RunPage.open(desk, name, dict(request.query_params))

    @ui.page("/run/{name}/trial/{trial}", response_timeout=READ_S)
    async def show_trial(name: str, trial: str) -> None:
        await TrialPage.open(desk, name, trial)

    @ui.page("/compare", response_timeout=READ_S)
    async def compare(request: Request) -> None:
        await show_comparison(desk, request.query_params.getlist("runs"))

    @toolkit.get("/run/{name}/report")
    def send_report(name: str) -> Response:
        path = desk.find_run(name) / "report.html"
        if not path.is_file():
            raise HTTPException(404, f"{name} has no report yet: `rungwise report` writes it.")
        return FileResponse(path, headers={"content-security-policy": REPORT_POLICY})

    @toolkit.get("/run/{name}/video/{path:path}")
    async def send_video(name: str, path: str) -> Response:
        directory = desk.find_run(name)
        outcome = await desk.runs.query_run(name, lambda view: view.outcome)
        file = (directory / path).resolve()
        named = outcome is not None and path in {row.path for row in outcome.videos}
        # The log of a run from elsewhere may name any file, such as a page with scripts of its own.
        if not (named and file.is_relative_to(directory.resolve()) and file.suffix == ".mp4"):
            raise HTTPException(404, f"{name} has no video {path!r}.")
        return FileResponse(file, media_type="video/mp4")

    toolkit.exception_handler(HTTPException)(_show_refusal)
    toolkit.exception_handler(404)(_show_refusal)
    # Before the toolkit's own middleware, so that it sees pages before they are compressed.
    toolkit.add_middleware(NonceMiddleware)
    ui.run_with(
        site,
        title="Rungwise",
        favicon="data:,",
        dark=None,
        language="en-US",
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECT_S,
        tailwind=False,
        show_welcome_message=False,
    )
    return site


def _show_refusal(request: Request, error: Exception) -> object:
    """Answer what is not there with a sentence, and the way back."""
    from nicegui.client import Client
    from nicegui.page import page

    status = error.status_code if isinstance(error, HTTPException) else 404
    detail = error.detail if isinstance(error, HTTPException) else ""
    if detail in ("", "Not Found"):
        detail = f"There is no page {request.url.path}."
    with Client(page(""), request=request) as client:
        begin_page("Not found", ("All runs", "/"))
        heading("Not found" if status == 404 else "Refused")
        paragraph(detail)
    return client.build_response(request, status)


class NonceMiddleware:
    """Middleware that marks the toolkit's inline scripts with a number that is used once."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def send_marked(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_page = headers.get("content-type", "").startswith("text/html")
                if is_page and "content-security-policy" not in headers:  # the report has its own
                    start = message
                    return
            elif start is not None:
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                nonce = secrets.token_urlsafe(16)
                # Texts of a run stand in the page as JSON with every < escaped.
                body = body.replace(b"<script", f'<script nonce="{nonce}"'.encode())
                headers = MutableHeaders(scope=start)
                headers["content-length"] = str(len(body))
                headers["content-security-policy"] = POLICY.format(nonce=nonce)
                await send(start)
                message = {"type": "http.response.body", "body": body}
            await send(message)

        await self.app(scope, receive, send_marked)
