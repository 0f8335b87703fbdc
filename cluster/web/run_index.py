"""The runs that the page can show, each with the one view that its readers share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from starlette.exceptions import HTTPException

from cluster.web.run_view import RunView

T = TypeVar("T")


class SharedView:
    """The view of a run, of which all readers share one reading of the log."""

    def __init__(self, directory: Path) -> None:
        self._view = RunView(directory)
        self._lock = asyncio.Lock()

    async def query(self, query: Callable[[RunView], T]) -> T:
        """Query the view in a thread, one query at a time."""
        # A view is not thread-safe. One lock per run, so that a large log does not delay other
        # runs.
        async with self._lock:
            return await asyncio.to_thread(query, self._view)

    async def read(self) -> None:
        """Read the log to its end, in parts between which other readers are served."""
        while await self.query(RunView.refresh):
            pass


class RunIndex:
    """The runs below a directory, or the run that the directory itself is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._views: dict[str, SharedView] = {}
        """Those that a page has looked at."""
        self._open: WeakValueDictionary[str, SharedView] = WeakValueDictionary()
        """Those that a reader holds: the list of runs lets go of most after one reading."""

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

    def open_view(self, directory: Path) -> SharedView:
        """Return the view of a run, which others may be reading; it closes with its last reader."""
        view = self._open.get(directory.name)
        if view is None:
            view = self._open[directory.name] = SharedView(directory)
        return view

    def find_view(self, name: str) -> SharedView:
        """Return the view of a run that a page looks at, and keep it.

        Raises:
            HTTPException: there is no such run.
        """
        if name not in self._views:
            self._views[name] = self.open_view(self.find_run(name))
        return self._views[name]

    async def query_run(self, name: str, query: Callable[[RunView], T]) -> T:
        """Query the view of a run.

        Raises:
            HTTPException: there is no such run.
        """
        return await self.find_view(name).query(query)


def _get_change_time(directory: Path) -> float:
    try:
        return directory.stat().st_mtime
    except FileNotFoundError:  # deleted since it was listed
        return 0.0
