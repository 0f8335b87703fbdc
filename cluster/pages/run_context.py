"""A run as one reader looks at it, shared by the tabs of its page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cluster.pages.frame import Desk
from cluster.web.run_view import RunView
from rungwise.run_log.outcome import Outcome

T = TypeVar("T")


@dataclass
class RunContext:
    """A run as one reader looks at it: what was read so far, and which trials are selected."""

    desk: Desk
    name: str
    outcome: Outcome | None = None
    """None while its log has no row."""
    selected: list[str] = field(default_factory=list[str])
    on_select: Callable[[list[str]], Awaitable[None]] | None = None

    async def query(self, query: Callable[[RunView], T]) -> T:
        """Query the view of the run."""
        return await self.desk.runs.query_run(self.name, query)

    async def select(self, trials: list[str]) -> None:
        """Select these trials everywhere on the page."""
        if trials != self.selected and self.on_select is not None:
            self.selected = trials
            await self.on_select(trials)
