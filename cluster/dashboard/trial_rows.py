"""Rows of the tables of trials, as plain types: numbers to sort by, and a sentence for each end."""

from __future__ import annotations

from functools import partial
from typing import Any

from cluster.dashboard.run_view import RunView, TrialResults
from rungwise.formatting import format_identifier, format_number
from rungwise.run_log.events import JobRow
from rungwise.run_log.json_types import to_json_types
from rungwise.run_log.trial_outcome import TrialOutcome, to_finite_float

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


def list_columns(job: JobRow) -> list[dict[str, Any]]:
    """List the columns of the table of trials: field, heading, and whether it holds numbers."""
    metric = format_identifier(job.metric)
    fixed = [
        ("trial", "trial", False),
        ("state", "state", False),
        ("best", f"{metric}, best", True),
        ("last", f"{metric}, last", True),
        ("iterations", "iterations", True),
        ("steps", "steps", True),
        ("seconds", "time, s", True),
    ]
    searched = [(_get_field(name), format_identifier(name), True) for name in job.searched]
    ending = [("findings", "findings", False), ("reason", "reason", False)]
    return [
        {"field": field, "heading": heading, "numeric": numeric}
        for field, heading, numeric in [*fixed, *searched, *ending]
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
