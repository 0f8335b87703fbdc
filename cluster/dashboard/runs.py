"""The runs below a directory, each read by one at a time beside whatever else is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from starlette.exceptions import HTTPException

from cluster.dashboard.board import Board

T = TypeVar("T")


class Runs:
    """The runs below a directory, or the one that it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._boards: dict[str, Board] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def directories(self) -> list[Path]:
        """Those that have a log now."""
        if (self.root / "events.jsonl").is_file():
            return [self.root.resolve()]
        return sorted(path.parent for path in self.root.glob("*/events.jsonl"))

    def jobs(self) -> list[Path]:
        """Those and the ones that have not begun, the last changed first."""
        files = [*self.root.glob("*/job.yaml"), *self.root.glob("*/events.jsonl")]
        found = {path.parent for path in files} or set(self.directories())
        return sorted(found, key=lambda directory: -directory.stat().st_mtime)

    def directory(self, name: str) -> Path:
        """Where a run is.

        Raises:
            HTTPException: there is no such run.
        """
        # Only what was found is opened, so that no name can lead elsewhere.
        for directory in self.jobs():
            if directory.name == name:
                return directory
        raise HTTPException(404, f"There is no run {name!r} below {self.root}.")

    async def ask(self, name: str, question: Callable[[Board], T]) -> T:
        """Ask the board of a run, one at a time, beside whatever else is served.

        Raises:
            HTTPException: there is no such run.
        """
        if name not in self._boards:
            self._boards[name] = Board(self.directory(name))
        async with self._locks.setdefault(name, asyncio.Lock()):
            return await asyncio.to_thread(question, self._boards[name])
