"""The server of the page: a few addresses of plain data, and a stream of what changes."""

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
from cluster.dashboard.run_index import RunIndex
from cluster.dashboard.run_view import RunView
from cluster.dashboard.tab_content import build_tab
from cluster.queue.run_queue import RunQueue
from cluster.web.api import make_api
from cluster.web.auth import TokenMiddleware
from envs.validation import InputError
from tune_jobs.report.html_parts import STYLE

PAGE = Path(__file__).parents[1] / "dashboard" / "page"
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
LOOK, BEAT = 0.25, 10.0
"""Seconds between two looks at a log, and after which a silent stream says that it is alive."""
PACE = 0.5
"""Seconds between two states that are sent while a run writes all the time."""


def make_app(root: Path, token: str | None, queue: RunQueue | None = None) -> TokenMiddleware:
    """The page about the runs below ``root``, and the addresses for programs.

    Args:
        root: a run, or a directory of runs.
        token: what to ask for; None asks for nothing.
        queue: starts runs; without it the page can only stop them.

    Raises:
        InputError: there is no such directory.
    """
    if not root.is_dir():
        raise InputError(f"There is no directory {root}: give a run, or a directory of runs.")
    runs = RunIndex(root)

    async def listed(_: Request) -> Response:
        told = {
            "runs": views.list_runs(runs.list_logged_runs()),
            "waiting": views.list_waiting_runs(runs.list_runs()),
        }
        return JSONResponse(told | {"style": views.STYLE, "starts": queue is not None})

    async def stream(request: Request) -> Response:
        run, metric = (
            _get_required_parameter(request, "run"),
            request.query_params.get("metric", ""),
        )
        await runs.query_run(run, RunView.refresh)
        said = _changes(runs, run, metric)
        return StreamingResponse(said, media_type="text/event-stream", headers=_FRESH)

    async def happened(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            raise HTTPException(422, f"`after` must be a number of rows, but it is {after!r}.")
        rows = await runs.query_run(
            _get_required_parameter(request, "run"), lambda b: views.list_events(b, int(after))
        )
        return JSONResponse(rows, headers=_FRESH)

    async def parts(request: Request) -> Response:
        name = _get_required_parameter(request, "name")
        made = await runs.query_run(
            _get_required_parameter(request, "run"), lambda board: build_tab(board, name)
        )
        return JSONResponse(made, headers=_FRESH)

    async def style(_: Request) -> Response:
        return Response(STYLE + (PAGE / "page.css").read_text(), media_type="text/css")

    def file(path: Path, kept: int = 0) -> Callable[[Request], Any]:
        async def answer(_: Request) -> Response:
            return FileResponse(path, headers={"cache-control": f"private, max-age={kept}"})

        return answer

    routes = [
        Route("/", file(PAGE / "index.html")),
        Route("/page.js", file(PAGE / "page.js")),
        Route("/plots.js", file(PAGE / "plots.js")),
        Route("/page.css", style),
        Route("/plotly.js", file(PLOTLY, kept=86400)),
        Route("/runs", listed),
        Route("/stream", stream),
        Route("/happened", happened),
        Route("/tab", parts),
    ]
    return TokenMiddleware(make_api(routes, runs, queue), token)


_FRESH = {"cache-control": "no-store"}


async def _changes(runs: RunIndex, run: str, metric: str) -> AsyncGenerator[str]:
    """The state of a run, and again whenever its log has grown; curves only where they changed."""
    version, sent, silent = -1, set[str](), 0.0
    while True:
        more, now = await runs.query_run(run, lambda board: (board.refresh(), board.version))
        if now != version:
            state, lines, known = await runs.query_run(
                run, partial(_collect_changes, metric=metric, since=version)
            )
            yield _event("state", state)
            gone = sorted(sent - known)
            yield _event("curves", {"metric": metric, "changed": lines, "gone": gone})
            version, sent, silent = now, known, 0.0
            if more:
                await _read_on(runs, run)
            else:
                await asyncio.sleep(PACE)
        else:
            await asyncio.sleep(LOOK)
            silent += LOOK
            if silent >= BEAT:
                silent = 0.0
                yield ": still here\n\n"


def _collect_changes(
    board: RunView, metric: str, since: int
) -> tuple[dict[str, Any], dict[str, Any], set[str]]:
    return (
        views.build_run_state(board),
        views.build_curves(board, metric, since),
        set(board.trial_results),
    )


async def _read_on(runs: RunIndex, run: str) -> None:
    """Read a large log for a while before its state is told again."""
    until = asyncio.get_running_loop().time() + 1
    while await runs.query_run(run, RunView.refresh):
        if asyncio.get_running_loop().time() > until:
            return


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"


def _get_required_parameter(request: Request, name: str) -> str:
    if not (value := request.query_params.get(name)):
        raise HTTPException(422, f"The address must name one: ?{name}=...")
    return value
