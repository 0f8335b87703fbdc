"""Server of the dashboard: plain data, a stream of changes, and the endpoints of the API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import plotly
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cluster.dashboard import views
from cluster.dashboard.run_view import RunIndex, RunView
from cluster.dashboard.views import build_tab
from cluster.queue.run_queue import RunQueue
from cluster.web.auth import TokenMiddleware
from cluster.web.http_api import make_api
from envs.validation import InputError
from tune_jobs.report.html_parts import STYLE

PAGE = Path(__file__).parents[1] / "dashboard" / "page"
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
POLL_INTERVAL_S = 0.25
"""Seconds between two checks whether a log has grown."""
HEARTBEAT_S = 10.0
"""Seconds without a change after which a stream sends a comment, so that it stays open."""
SEND_INTERVAL_S = 0.5
"""Shortest time between two states that are sent, in seconds."""
CATCH_UP_S = 1.0
"""Longest time to read on in a large log before its state is sent, in seconds."""
NO_STORE = {"cache-control": "no-store"}


def make_app(root: Path, token: str | None, queue: RunQueue | None = None) -> TokenMiddleware:
    """Make the application: the page about the runs below a directory, and the API.

    Args:
        root: a run, or a directory of runs.
        token: the token to require; None requires none.
        queue: the queue that starts runs; without it, runs can only be stopped.

    Raises:
        InputError: the directory does not exist.
    """
    if not root.is_dir():
        raise InputError(f"There is no directory {root}: name a run, or a directory of runs.")
    runs = RunIndex(root)
    handlers = PageHandlers(runs, can_start=queue is not None)
    routes = [
        Route("/", _serve_file(PAGE / "index.html")),
        Route("/page.js", _serve_file(PAGE / "page.js")),
        Route("/plots.js", _serve_file(PAGE / "plots.js")),
        Route("/page.css", _serve_style),
        # Plotly has megabytes and changes with its package only. A browser asks for the other files
        # each time: a cached page of another version would misread the data.
        Route("/plotly.js", _serve_file(PLOTLY, max_age_s=86400)),
        Route("/runs", handlers.list_runs),
        Route("/stream", handlers.stream),
        Route("/events", handlers.list_events),
        Route("/tab", handlers.render_tab),
    ]
    return TokenMiddleware(make_api(routes, runs, queue), token)


class PageHandlers:
    """Handlers of the requests that the page sends for its data."""

    def __init__(self, runs: RunIndex, can_start: bool) -> None:
        self.runs, self.can_start = runs, can_start

    async def list_runs(self, _: Request) -> Response:
        """List the runs, those that wait, and the colours and marks of the plots."""
        listed = {
            "runs": views.list_runs(self.runs.list_logged_runs()),
            "waiting": views.list_waiting_runs(self.runs.list_runs()),
        }
        return JSONResponse(listed | {"style": views.STYLE, "starts": self.can_start})

    async def stream(self, request: Request) -> Response:
        """Stream the state and the curves of a run as server-sent events."""
        run = _get_required_parameter(request, "run")
        metric = request.query_params.get("metric", "")
        # An unknown run is refused here: once a stream has started, its status has been sent.
        await self.runs.query_run(run, RunView.refresh)
        changes = _stream_changes(self.runs, run, metric)
        return StreamingResponse(changes, media_type="text/event-stream", headers=NO_STORE)

    async def list_events(self, request: Request) -> Response:
        """List the events of a run after the first ``after``."""
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            raise HTTPException(422, f"`after` must be a number of events, but it is {after!r}.")
        rows = await self.runs.query_run(
            _get_required_parameter(request, "run"),
            lambda view: views.list_events(view, int(after)),
        )
        return JSONResponse(rows, headers=NO_STORE)

    async def render_tab(self, request: Request) -> Response:
        """Build the parts of a tab."""
        name = _get_required_parameter(request, "name")
        parts = await self.runs.query_run(
            _get_required_parameter(request, "run"), lambda view: build_tab(view, name)
        )
        return JSONResponse(parts, headers=NO_STORE)


async def _serve_style(_: Request) -> Response:
    return Response(STYLE + (PAGE / "page.css").read_text(), media_type="text/css")


def _serve_file(path: Path, max_age_s: int = 0) -> Callable[[Request], Any]:
    async def respond(_: Request) -> Response:
        return FileResponse(path, headers={"cache-control": f"private, max-age={max_age_s}"})

    return respond


async def _stream_changes(runs: RunIndex, run: str, metric: str) -> AsyncGenerator[str]:
    """Yield the state of a run whenever its log has grown, and the curves that have changed."""
    version, sent, silent_s = -1, set[str](), 0.0
    while True:
        # In one query, because other requests about the run may refresh the view between two.
        more, now = await runs.query_run(run, lambda view: (view.refresh(), view.version))
        if now != version:
            state, curves, trials = await runs.query_run(
                run, partial(_collect_changes, metric=metric, since=version)
            )
            yield _event("state", state)
            # A log that was replaced by a shorter one may lack trials whose curves are on the page.
            gone = sorted(sent - trials)
            yield _event("curves", {"metric": metric, "changed": curves, "gone": gone})
            version, sent, silent_s = now, trials, 0.0
            if more:
                await _read_on(runs, run)
            else:
                await asyncio.sleep(SEND_INTERVAL_S)
        else:
            await asyncio.sleep(POLL_INTERVAL_S)
            silent_s += POLL_INTERVAL_S
            # Proxies close connections that stay silent.
            if silent_s >= HEARTBEAT_S:
                silent_s = 0.0
                yield ": heartbeat\n\n"


def _collect_changes(
    view: RunView, metric: str, since: int
) -> tuple[dict[str, Any], dict[str, Any], set[str]]:
    return (
        views.build_run_state(view),
        views.build_curves(view, metric, since),
        set(view.trial_results),
    )


async def _read_on(runs: RunIndex, run: str) -> None:
    """Read on in a large log before its state is sent again."""
    until = asyncio.get_running_loop().time() + CATCH_UP_S
    while await runs.query_run(run, RunView.refresh):
        if asyncio.get_running_loop().time() > until:
            return


def _event(name: str, data: object) -> str:
    # NaN is not JSON: a browser would refuse the whole state because of one number.
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"


def _get_required_parameter(request: Request, name: str) -> str:
    if not (value := request.query_params.get(name)):
        raise HTTPException(422, f"The parameter {name} is missing: add ?{name}=... to the URL.")
    return value
