"""The list of runs: sorted, searched, and two or more of them chosen to be compared."""

from __future__ import annotations

import asyncio
from html import escape
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

from nicegui import ui

from cluster.dashboard.run_rows import RunRows
from cluster.pages.frame import Desk, begin_page, heading, paragraph
from cluster.pages.grid import CHIP, NUMBER, SPARK, Grid
from rungwise.formatting import count

Rows: TypeAlias = list[dict[str, Any]]
LIST_INTERVAL_S = 3.0
"""Seconds between two looks at the folder."""
BYTES = """p => { let v = p.value, u = ['B', 'KB', 'MB', 'GB', 'TB'], i = 0;
if (v === null || v === undefined) return ''; while (v >= 1000 && i < 4) { v /= 1000; i += 1; }
return v.toPrecision(3) + ' ' + u[i]; }"""
PERCENT = "p => p.value === null || p.value === undefined ? '' : Math.round(100 * p.value) + ' %'"
MOMENT = """p => p.value ? new Date(1000 * p.value).toLocaleString('sv-SE',
{dateStyle: 'short', timeStyle: 'short'}) : ''"""
SPAN = """p => { const s = p.value; if (s === null || s === undefined) return '';
if (s < 100) return Math.round(s) + ' s'; const m = Math.round(s / 60);
return m < 100 ? m + ' min' : Math.floor(m / 60) + ' h ' + (m % 60) + ' min'; }"""
LINK = """p => { const a = document.createElement('a'); a.textContent = p.value;
a.href = 'run/' + encodeURIComponent(p.value); return a; }"""


def _column(field: str, name: str, **more: object) -> dict[str, Any]:
    return {"field": field, "headerName": name} | more


COLUMNS = [
    _column("run", "run", **{":cellRenderer": LINK}, pinned="left"),
    _column("state", "state", **{":cellRenderer": CHIP}, tooltipField="message"),
    _column("task", "task", maxWidth=240, tooltipField="task"),
    _column("algorithm", "algorithm"),
    _column("tags", "tags", maxWidth=200, tooltipField="tags"),
    _column("metric", "metric"),
    _column("best", "best score", **{":valueFormatter": NUMBER}, type="numericColumn"),
    _column("error", "±", **{":valueFormatter": NUMBER}, type="numericColumn"),
    _column("curve", "its curve", **{":cellRenderer": SPARK}, sortable=False, filter=False),
    _column("trials", "trials", type="numericColumn"),
    _column("saved", "saved", **{":valueFormatter": PERCENT}, type="numericColumn"),
    _column("findings", "findings", type="numericColumn"),
    _column("started", "started", **{":valueFormatter": MOMENT}, sort="desc"),
    _column("seconds", "duration", **{":valueFormatter": SPAN}, type="numericColumn"),
    _column("bytes", "storage", **{":valueFormatter": BYTES}, type="numericColumn"),
]


class OverviewPage:
    """The list of the runs below a directory."""

    def __init__(self, desk: Desk, rows: RunRows) -> None:
        self.desk, self.rows = desk, rows
        begin_page("Runs")
        heading("Runs")
        self.about = paragraph("", "missing").props("role=status")
        with ui.element("div").classes("row"):
            self.compare = ui.button("Compare", on_click=self._open_comparison)
            self.compare.props("no-caps dense").disable()
        self.grid = Grid("run", COLUMNS, "Runs", self._select, self._open)
        self.selected: list[str] = []
        # Started here, because the list is read while the browser loads the scripts of the page.
        self._first_look: asyncio.Task[Rows] | None = asyncio.create_task(self._show_rows())
        ui.timer(LIST_INTERVAL_S, self._show, immediate=True)

    async def _show_rows(self) -> Rows:
        directories = self.desk.runs.list_runs()
        rows = await asyncio.to_thread(self.rows.list_rows, directories)
        self._describe(rows)
        self.grid.show_rows(rows)
        return rows

    async def _show(self) -> None:
        """Show the rows at once, and then the figures of each run."""
        first_look, self._first_look = self._first_look, None
        rows = await (first_look or self._show_rows())
        by_name = {row["run"]: row for row in rows}
        loop = asyncio.get_running_loop()
        shown = loop.time()
        # A page that was closed needs no figures.
        while not self.grid.is_deleted and (row := await self.rows.read_next()) is not None:
            by_name[row["run"]] = row
            if loop.time() > shown + 1.0:
                shown = loop.time()
                self.grid.show_rows(list(by_name.values()))
        self._describe(list(by_name.values()))
        self.grid.show_rows(list(by_name.values()))

    def _describe(self, rows: Rows) -> None:
        if not rows:
            text = "No run yet. This page looks again every few seconds."
        else:
            text = f"{count(len(rows), 'run')} in {self.desk.runs.root.resolve()}"
        self.about.set_content(escape(text))

    async def _select(self, runs: list[str]) -> None:
        self.selected = runs
        self.compare.set_enabled(len(runs) > 1)

    def _open(self, run: str) -> None:
        ui.navigate.to(f"/run/{quote(run)}")

    def _open_comparison(self) -> None:
        ui.navigate.to(f"/compare?{urlencode({'runs': self.selected}, doseq=True)}")
