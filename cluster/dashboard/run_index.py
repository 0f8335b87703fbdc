"""The runs below a directory, each read by one at a time beside whatever else is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from starlette.exceptions import HTTPException

from cluster.dashboard.run_view import RunView

T = TypeVar("T")


class RunIndex:
    """The runs below a directory, or the one that it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._boards: dict[str, RunView] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def list_logged_runs(self) -> list[Path]:
        """Those that have a log now."""
        if (self.root / "events.jsonl").is_file():
            return [self.root.resolve()]
        return sorted(path.parent for path in self.root.glob("*/events.jsonl"))

    def list_runs(self) -> list[Path]:
        """Those and the ones that have not begun, the last changed first."""
        files = [*self.root.glob("*/job.yaml"), *self.root.glob("*/events.jsonl")]
        found = {path.parent for path in files} or set(self.list_logged_runs())
        return sorted(found, key=lambda directory: -directory.stat().st_mtime)

    def find_run(self, name: str) -> Path:
        """Where a run is.

        Raises:
            HTTPException: there is no such run.
        """
        # Only what was found is opened, so that no name can lead elsewhere.
        for directory in self.list_runs():
            if directory.name == name:
                return directory
        raise HTTPException(404, f"There is no run {name!r} below {self.root}.")

    async def query_run(self, name: str, query: Callable[[RunView], T]) -> T:
        """Ask the board of a run, one at a time, beside whatever else is served.

        Raises:
            HTTPException: there is no such run.
        """
        if name not in self._boards:
            self._boards[name] = RunView(self.find_run(name))
        async with self._locks.setdefault(name, asyncio.Lock()):
            return await asyncio.to_thread(query, self._boards[name])
