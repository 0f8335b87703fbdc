"""The application of the API, with the token before it."""

from __future__ import annotations

from pathlib import Path

from cluster.queue.run_queue import RunQueue
from cluster.web.auth import TokenMiddleware
from cluster.web.http_api import ApiHandlers, make_api
from cluster.web.run_index import RunIndex
from rungwise.validation import InputError


def make_app(root: Path, token: str | None, queue: RunQueue | None = None) -> TokenMiddleware:
    """Make the API about the runs below a directory.

    Args:
        root: a run, or a directory of runs.
        token: the token to require; None requires none.
        queue: the queue that starts runs; without it, runs can only be stopped.

    Raises:
        InputError: the directory does not exist.
    """
    return TokenMiddleware(make_api(open_runs(root, queue)), token)


def open_runs(root: Path, queue: RunQueue | None) -> ApiHandlers:
    """Return what answers and acts for the runs below a directory; errors as above."""
    if not root.is_dir() and root != Path("runs"):  # which the first run makes
        raise InputError(f"There is no directory {root}: name a run, or a directory of runs.")
    return ApiHandlers(RunIndex(root), queue)
