"""The tab with a line for each trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nicegui import ui

from cluster.dashboard.trial_rows import list_columns, list_trial_rows
from cluster.pages.grid import CHIP, NUMBER, Grid

if TYPE_CHECKING:
    from cluster.pages.run_context import RunContext

HIDDEN = ("steps", "seconds")
"""Columns that are shown when they are chosen: a screen has room for the searched settings then."""
MOST_WIDE = {"reason": 420, "findings": 220}
"""Widths in pixels of columns of text, which are one line; the rest shows on hover."""


class TrialsTab:
    """The table of trials: sorted, filtered, and selected everywhere on the page."""

    def __init__(self, run: RunContext) -> None:
        self.run = run
        assert run.outcome is not None  # noqa: S101
        columns = [_define(column) for column in list_columns(run.outcome.job)]
        self.grid = Grid("trial", columns, "Trials", run.select, self._open)
        self.shown: list[str] = []

    async def show(self) -> None:
        """Show the rows that are new or changed, and the selection."""
        rows = await self.run.desk.query(
            self.run.name, lambda view: view.build_once("rows", lambda: list_trial_rows(view))
        )
        self.grid.show_rows(rows)
        if self.run.selected != self.shown:
            self.shown = list(self.run.selected)
            self.grid.select(self.shown)

    def _open(self, trial: str) -> None:
        ui.navigate.to(f"/run/{quote(self.run.name)}/trial/{quote(trial)}")


def _define(column: dict[str, Any]) -> dict[str, Any]:
    field = column["field"]
    defined: dict[str, Any] = {"field": field, "headerName": column["heading"]}
    if column["numeric"]:
        defined |= {":valueFormatter": NUMBER, "type": "numericColumn"}
    if field == "state":
        defined |= {":cellRenderer": CHIP}
    if field == "trial":
        defined |= {"pinned": "left", ":cellClassRules": "{'text-bold': p => p.data.is_best}"}
    if field in HIDDEN:
        defined |= {"hide": True}
    if field in MOST_WIDE:
        defined |= {"width": MOST_WIDE[field], "tooltipField": field, "suppressAutoSize": True}
    return defined
