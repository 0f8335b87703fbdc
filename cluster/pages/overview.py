"""The list of runs: sorted, searched, and two or more of them chosen to be compared."""

from __future__ import annotations

import asyncio
from html import escape
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

from nicegui import ui

from cluster.pages.frame import Desk, begin_page, heading, paragraph
from cluster.pages.grid import CHIP, NUMERIC, SPARK, Grid, define_column
from cluster.queue.orders import get_run_state, read_order
from cluster.web.run_index import RunIndex, SharedView
from cluster.web.run_view import RunView
from rungwise.formatting import count, format_identifier
from rungwise.run_directory import read_number_of_trials
from rungwise.run_log.event_log import read_log_ends
from rungwise.run_log.trial_outcome import to_finite_float
from tune_jobs.disk_space import measure_size
from tune_jobs.report.result_score import find_result_score

Rows: TypeAlias = list[dict[str, Any]]
Stamp: TypeAlias = tuple[float, int]
LIST_INTERVAL_S = 3.0
"""Seconds between two looks at the folder."""
SPARK_POINTS = 40
"""Points of the small curve of a run's best score."""
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
COLUMNS = [
    define_column("run", "run", **{":cellRenderer": LINK}, pinned="left"),
    define_column("state", "state", **{":cellRenderer": CHIP}, tooltipField="message"),
    define_column("task", "task", maxWidth=240, tooltipField="task"),
    define_column("algorithm", "algorithm"),
    define_column("tags", "tags", maxWidth=200, tooltipField="tags"),
    define_column("metric", "metric"),
    define_column("best", "best score", **NUMERIC),
    define_column("error", "±", **NUMERIC),
    define_column("curve", "its curve", **{":cellRenderer": SPARK}, sortable=False, filter=False),
    define_column("trials", "trials", type="numericColumn"),
    define_column("saved", "saved", **{":valueFormatter": PERCENT}, type="numericColumn"),
    define_column("findings", "findings", type="numericColumn"),
    define_column("started", "started", **{":valueFormatter": MOMENT}, sort="desc"),
    define_column("seconds", "duration", **{":valueFormatter": SPAN}, type="numericColumn"),
    define_column("bytes", "storage", **{":valueFormatter": BYTES}, type="numericColumn"),
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


class RunRows:
    """Rows of the list of runs, remembered until a log changes.

    The result of a run is in its whole log. So the list appears with what the ends of the logs say,
    and :meth:`read_next` adds the figures of one run at a time.
    """

    def __init__(self, runs: RunIndex) -> None:
        self.runs = runs
        self._growing: dict[Path, SharedView] = {}
        """Views of runs that go on, so that only what is new of their logs is read."""
        self._rows: dict[Path, tuple[Stamp, dict[str, Any]]] = {}
        self._missing: list[Path] = []

    def list_rows(self, directories: list[Path]) -> list[dict[str, Any]]:
        """List a row for each run, in the order given, with the figures known so far."""
        rows, self._missing = [], []
        for directory in directories:
            cached = self._rows.get(directory)
            if cached is None or cached[0] != _stamp(directory):
                self._missing.append(directory)
            figures = cached[1] if cached else {}
            rows.append(figures | _describe_run(directory))
        return rows

    async def read_next(self) -> dict[str, Any] | None:
        """Read the figures of one run that lacks them; None if none does."""
        if not self._missing:
            return None
        directory = self._missing.pop(0)
        stamp = _stamp(directory)
        view = self.runs.open_view(directory)
        try:
            await view.read()
            figures, goes_on = await view.query(_summarise)
        except Exception:  # one damaged log must not keep the figures of other runs from the list
            figures, goes_on = {}, False
        figures["bytes"] = await asyncio.to_thread(measure_size, directory)
        if goes_on:
            self._growing[directory] = view
        else:
            self._growing.pop(directory, None)
        self._rows[directory] = stamp, figures
        return figures | await asyncio.to_thread(_describe_run, directory)


def _stamp(directory: Path) -> Stamp:
    try:
        stat = (directory / "events.jsonl").stat()
    except OSError:  # not started, or deleted since it was listed
        return 0.0, 0
    return stat.st_mtime, stat.st_size


def _describe_run(directory: Path) -> dict[str, Any]:
    state, message = get_run_state(directory)
    log = directory / "events.jsonl"
    job, end = read_log_ends(log) if log.is_file() else (None, None)
    order = read_order(directory)
    waits = "waits in the queue" if order and state == "queued" else ""
    return {
        "run": directory.name,
        "state": state,
        "message": message or waits,
        "task": job.env.split(":")[-1] if job else "",
        "algorithm": job.algo if job else "",
        "tags": job.changes.get("job", {}).get("tags", "") if job else "",
        "trials": read_number_of_trials(directory, job.trials) if job else None,
        "started": job.time if job else None,
        "seconds": end.seconds if end else None,
    }


def _summarise(view: RunView) -> tuple[dict[str, Any], bool]:
    """Return the result of a run, empty where its log is not that of a run, and whether it runs."""
    if (outcome := view.outcome) is None:
        return {}, False
    best, score = outcome.best, find_result_score(outcome)
    scores = [score for _, score in best.scores] if best else []
    step = max(1, len(scores) // SPARK_POINTS)
    standing = {row.symptom for row in outcome.findings if not row.withdrawn}
    figures = {
        "metric": format_identifier(score.metric if score else outcome.job.metric),
        "best": score and to_finite_float(score.value),
        "error": score and to_finite_float(score.error),
        "saved": outcome.compute_saved,
        "findings": len(standing),
        "curve": scores[::step],
    }
    return figures, outcome.end is None
