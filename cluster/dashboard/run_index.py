"""Index of the runs below a directory; requests about one run take turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from starlette.exceptions import HTTPException

from cluster.dashboard.run_view import RunView

T = TypeVar("T")


class RunIndex:
    """The runs below a directory, or the run that the directory itself is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._views: dict[str, RunView] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def list_logged_runs(self) -> list[Path]:
        """List the runs that have an event log."""
        if (self.root / "events.jsonl").is_file():
            return [self.root.resolve()]
        return sorted(path.parent for path in self.root.glob("*/events.jsonl"))

    def list_runs(self) -> list[Path]:
        """List the runs, including those that have not started, the last changed first."""
        files = [*self.root.glob("*/job.yaml"), *self.root.glob("*/events.jsonl")]
        directories = {path.parent for path in files} or set(self.list_logged_runs())
        return sorted(directories, key=lambda directory: -_get_change_time(directory))

    def find_run(self, name: str) -> Path:
        """Return the directory of a run.

        Raises:
            HTTPException: there is no such run.
        """
        # The name is only compared with listed directories: joined to a path it could be "../x".
        for directory in self.list_runs():
            if directory.name == name:
                return directory
        raise HTTPException(404, f"There is no run {name!r} below {self.root}.")

    async def query_run(self, name: str, query: Callable[[RunView], T]) -> T:
        """Query the view of a run in a thread, one query per run at a time.

        Raises:
            HTTPException: there is no such run.
        """
        if name not in self._views:
            self._views[name] = RunView(self.find_run(name))
        # A view is not thread-safe. One lock per run, so that a large log does not delay other
        # runs.
        async with self._locks.setdefault(name, asyncio.Lock()):
            return await asyncio.to_thread(query, self._views[name])


def _get_change_time(directory: Path) -> float:
    try:
        return directory.stat().st_mtime
    except FileNotFoundError:  # deleted since it was listed
        return 0.0
