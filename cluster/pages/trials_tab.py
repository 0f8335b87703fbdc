"""The tab with a line for each trial: numbers to sort by, and a sentence for each end."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from nicegui import ui

from cluster.pages.grid import CHIP, NUMERIC, Grid, define_column
from cluster.pages.run_context import RunContext
from cluster.web.run_view import RunView, TrialResults
from rungwise.formatting import format_identifier, format_number
from rungwise.run_log.events import JobRow
from rungwise.run_log.json_types import to_json_types
from rungwise.run_log.trial_outcome import TrialOutcome, to_finite_float

BOLD_BEST = "{'text-bold': p => p.data.is_best}"
ONE_LINE = {"suppressAutoSize": True}
STATES = {
    "budget": "finished",
    "target": "finished",
    "asha": "stopped by rung",
    "health": "stopped by health",
    "plateau": "stopped by plateau",
    "stopped": "stopped by hand",
    "error": "failed",
    "interrupted": "interrupted",
}
"""The state of a trial in a word or two, by the reason of its end."""


class TrialsTab:
    """The table of trials: sorted, filtered, and selected everywhere on the page."""

    def __init__(self, run: RunContext) -> None:
        self.run = run
        assert run.outcome is not None  # noqa: S101
        columns = list_columns(run.outcome.job)
        self.grid = Grid("trial", columns, "Trials", run.select, self._open)
        self.shown: list[str] = []

    async def show(self) -> None:
        """Show the rows that are new or changed, and the selection."""
        rows = await self.run.query(
            lambda view: view.build_once("rows", lambda: list_trial_rows(view))
        )
        self.grid.show_rows(rows)
        if self.run.selected != self.shown:
            self.shown = list(self.run.selected)
            self.grid.select(self.shown)

    def _open(self, trial: str) -> None:
        ui.navigate.to(f"/run/{quote(self.run.name)}/trial/{quote(trial)}")


def list_columns(job: JobRow) -> list[dict[str, Any]]:
    """List the columns of the table of trials."""
    metric = format_identifier(job.metric)
    # Text is cut to one line, the rest shows on hover; steps and time leave room for the searched
    # settings until they are chosen.
    return [
        define_column("trial", "trial", pinned="left", **{":cellClassRules": BOLD_BEST}),
        define_column("state", "state", **{":cellRenderer": CHIP}),
        define_column("best", f"{metric}, best", **NUMERIC),
        define_column("last", f"{metric}, last", **NUMERIC),
        define_column("iterations", "iterations", **NUMERIC),
        define_column("steps", "steps", hide=True, **NUMERIC),
        define_column("seconds", "time, s", hide=True, **NUMERIC),
        define_column("node", "node", hide=True),
        *(define_column(_get_field(n), format_identifier(n), **NUMERIC) for n in job.searched),
        define_column("findings", "findings", width=220, tooltipField="findings", **ONE_LINE),
        define_column("reason", "reason", width=420, tooltipField="reason", **ONE_LINE),
    ]


def list_trial_rows(view: RunView) -> list[dict[str, Any]]:
    """List a row for each trial, the best first."""
    outcome = view.outcome
    if outcome is None:
        return []
    best, rows = outcome.best, list[dict[str, Any]]()
    for trial in outcome.best_first:
        is_best = trial is best
        build = partial(_build_row, trial, view.trial_results.get(trial.id), is_best)
        rows.append(view.build_of(trial, ("row", is_best), build))
    return rows


def _build_row(trial: TrialOutcome, results: TrialResults | None, is_best: bool) -> dict[str, Any]:
    standing = [row for row in trial.findings if not row.withdrawn]
    scores = results.score_range if results else None
    return {
        "trial": trial.id,
        "is_best": is_best,
        "best": scores and scores[1 if trial.job.mode == "max" else 0],
        "state": name_state(trial),
        "last": trial.finite_score,
        "iterations": trial.iterations,
        "steps": trial.env_steps,
        "seconds": round(trial.seconds, 1),
        "node": trial.node,
        "findings": ", ".join(dict.fromkeys(format_identifier(row.symptom) for row in standing)),
        "reason": trial.sentence or trial.status_text,
    } | {_get_field(name): _to_cell(trial.config.get(name)) for name in trial.job.searched}


def name_state(trial: TrialOutcome) -> str:
    """Return the state of a trial in a word or two: finished, stopped by rung, running, ..."""
    if trial.end_reason is None:
        return "running" if trial.results else "waiting"
    return STATES.get(trial.end_reason, trial.end_reason.replace("_", " "))


def _get_field(setting: str) -> str:
    # A prefix, because a searched setting may be called like a column.
    return f"setting:{setting}"


def _to_cell(value: object) -> Any:
    """Return a number as itself, so that a table can sort by it, all else as text."""
    number = to_finite_float(value)
    if number is not None:
        return to_json_types(value)
    return format_number(value)
