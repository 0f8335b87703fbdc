"""A tab that shows sections of the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from cluster.pages.frame import show_parts
from cluster.pages.run_context import RunContext
from cluster.web.run_view import RunView


class PartsTab:
    """A tab with sections of the report, drawn when it is opened and by a button."""

    def __init__(self, run: RunContext, build: Callable[[RunView], Any]) -> None:
        self.run, self.build = run, build
        self.update = ui.button("Update", on_click=self._draw).props("outline dense no-caps")
        self.content = ui.element("div")
        self.is_drawn = False

    async def show(self) -> None:
        """Draw the sections once: a figure that is read must not move."""
        ended = self.run.outcome is not None and self.run.outcome.end is not None
        self.update.set_visibility(not ended)
        if not self.is_drawn:
            await self._draw()

    async def _draw(self) -> None:
        self.is_drawn = True
        built = await self.run.query(self.build)
        self.content.clear()
        with self.content:
            self.fill(built)

    def fill(self, built: Any) -> None:
        """Draw what was built."""
        show_parts(built)
