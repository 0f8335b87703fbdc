"""Data of the page about runs, as plain types for JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cluster.dashboard.run_view import RunView
from cluster.queue.orders import get_run_state, read_order
from envs.validation import InputError
from tune_jobs.formatting import (
    count,
    format_duration,
    format_end_reason,
    format_identifier,
    format_measurement,
    format_number,
)
from tune_jobs.report import shared_sections
from tune_jobs.report.html_parts import Part, render_note
from tune_jobs.report.plots import ACCENT, ENDS, MUTED, PALETTE, spans_decades
from tune_jobs.run_log.driver_lock import has_driver
from tune_jobs.run_log.event_log import read_log_ends
from tune_jobs.run_log.events import (
    DISPROVED,
    DecisionRow,
    EndRow,
    FindingRow,
    JobEndRow,
    JobRow,
    LogRow,
    Row,
)
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.trial_outcome import TrialOutcome

PLOT_POINTS = 20_000
"""Points of all trials in a plot: as many as a browser draws without delay."""
MIN_POINTS, MAX_POINTS = 60, 400
"""Points of one trial: more than these, a screen has no columns for."""
STYLE = {
    "accent": ACCENT,
    "muted": MUTED,
    "palette": PALETTE,
    "ends": {
        name: {"colour": c, "symbol": s, "message": format_end_reason(name)}
        for name, (c, s) in ENDS.items()
    },
}
"""Colours and marks of the report."""


def list_runs(directories: Sequence[Path]) -> list[dict[str, Any]]:
    """Summarise the runs, the last changed first, from the ends of their logs."""
    return sorted((_summarise_run(d) for d in directories), key=lambda run: -run["changed"])


def _summarise_run(directory: Path) -> dict[str, Any]:
    path = directory / "events.jsonl"
    job, _ = read_log_ends(path)
    state, message = get_run_state(directory)
    about = f"{job.env.split(':')[-1]}, {job.algo}" if job else "not an event log"
    changed = path.stat().st_mtime
    return {"name": directory.name, "changed": changed, "state": message or state, "about": about}


def list_waiting_runs(directories: Sequence[Path]) -> list[dict[str, str]]:
    """List the runs that wait or could not start, the first to start first."""
    waiting = [(order, d) for d in directories if (order := read_order(d)) and not has_driver(d)]
    waiting.sort(key=lambda pair: (-pair[0].priority, pair[0].ordered_at))
    return [{"name": d.name, "message": order.failure or "waits"} for order, d in waiting]


def build_run_state(view: RunView) -> dict[str, Any]:
    """Build everything about a run except its curves and events."""
    if view.job is None:
        return {"read_fraction": view.read_fraction, "job": None, "trials": [], "num_events": 0}
    outcome = view.build_outcome()
    job, best = outcome.job, outcome.best
    scores = [s for t in outcome.trials if (s := t.finite_score) is not None]
    return {
        "read_fraction": view.read_fraction,
        "job": {
            "name": view.directory.name,
            "about": shared_sections.describe_job(job) + _describe_failure(outcome),
            "metric": format_identifier(job.metric),
            "mode": job.mode,
            "iterations": job.iterations,
            "rungs": list(outcome.rungs),
            "searched": job.searched,
            "log": spans_decades(scores, decades=1),
            "ended": outcome.end is not None,
            "resumed": job.resumed,
        },
        "cards": [card._asdict() for card in shared_sections.list_cards(outcome)],
        "trials": [_build_trial(trial, trial is best, job) for trial in outcome.trials],
        "metrics": _list_metrics(outcome),
        "num_events": sum(_is_event(row) for _, row in view.other_rows),
    }


def build_curves(view: RunView, metric: str, since: int = -1) -> dict[str, dict[str, list[Any]]]:
    """Build the curve of a metric for every trial that has results newer than a version.

    Without a name it is the score. Curves are thinned to what a screen can show.
    """
    per_trial = PLOT_POINTS // max(1, len(view.trial_results))
    # From a few hundred trials on, the minimum exceeds the budget: fewer would hide a curve's
    # shape.
    max_points = max(MIN_POINTS, min(MAX_POINTS, per_trial))
    curves: dict[str, dict[str, list[Any]]] = {}
    for trial, results in sorted(view.trial_results.items()):
        if results.version > since:
            points = view.get_curve(trial, metric, max_points)
            curves[trial] = {"x": [x for x, _ in points], "y": [_round(y) for _, y in points]}
    return curves


def list_events(view: RunView, after: int) -> list[dict[str, Any]]:
    """List the decisions, findings and ends in words, in log order, after the first ``after``."""
    rows = [row for _, row in view.other_rows if _is_event(row)]
    return [_describe_event(row) for row in rows[after:]]


def _is_event(row: Row) -> bool:
    return isinstance(row, LogRow | DecisionRow | FindingRow | EndRow | JobEndRow | JobRow)


def _describe_event(row: Row) -> dict[str, Any]:
    event: dict[str, Any] = {"time": row.time, "kind": row.kind, "trial": getattr(row, "trial", "")}
    match row:
        case FindingRow() if row.withdrawn:
            event["severity"] = "note"
            event["title"] = (
                f"{format_identifier(row.symptom)} is withdrawn at iteration {row.withdrawn}"
            )
            event["text"] = _make_sentence(DISPROVED)
        case FindingRow():
            event["severity"] = row.severity
            event["title"] = f"{format_identifier(row.symptom)} since iteration {row.since}"
            event["text"] = " ".join(
                filter(None, (_make_sentence(row.evidence), _make_sentence(row.siblings)))
            )
            event["remedy"] = row.remedy
        case LogRow():
            event["title"] = f"is followed in {row.path}"
            others = f"; not followed: {', '.join(row.others)}" if row.others else ""
            event["text"] = _make_sentence(row.format + others)
        case DecisionRow():
            event["title"] = "continues" if row.keep else "does not continue"
            event["text"] = _make_sentence(row.sentence)
        case EndRow():
            event["title"] = (
                f"ended after {count(row.iteration, 'iteration')}: {format_end_reason(row.reason)}"
            )
            event["text"] = _make_sentence(row.sentence)
        case JobEndRow():
            event["title"] = f"the job ended: {row.reason}, after {format_duration(row.seconds)}"
            event["text"] = _make_sentence(row.sentence)
        case JobRow():
            event["title"] = "the job was resumed" if row.resumed else "the job started"
        case _:
            pass
    return event


def _describe_failure(outcome: Outcome) -> str:
    """Return why the driver failed; empty if it did not."""
    if outcome.end is None or outcome.end.reason != "error":
        return ""
    return f" · failed: {outcome.end.sentence or 'its log does not say why'}"


def _build_trial(trial: TrialOutcome, best: bool, job: JobRow) -> dict[str, Any]:
    return vars(trial.summarise()) | {
        "best": best,
        "measured": format_measurement(trial.score),
        "state": trial.full_status_text,
        "settings": {name: format_number(trial.config.get(name)) for name in job.searched},
    }


def _list_metrics(outcome: Outcome) -> list[str]:
    """List the metrics that some trial reports as a single number."""
    names: set[str] = set()
    for trial in outcome.trials:
        if trial.results:
            values = trial.results[-1].metrics
            # None stands for a number that was not finite: the metric can still be drawn.
            more = values.keys() - names
            names |= {n for n in more if isinstance(values[n], int | float) or values[n] is None}
    return sorted(names)


def _make_sentence(text: str) -> str:
    """Return the text with a capital letter and a full stop."""
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", "?", "!")) else text + "."


def _round(value: float | None) -> float | None:
    """Round to six digits: no more are visible, and the response is half as large."""
    return None if value is None else float(f"{value:.6g}")


def build_tab(view: RunView, name: str) -> list[dict[str, Any]]:
    """Build the parts of a tab, which is drawn on request.

    Each is ``html``, or a ``figure`` for Plotly with its ``caption``.

    Raises:
        InputError: there is no such tab, or the run has no rows yet.
    """
    if name not in TAB_BUILDERS:
        raise InputError(f"There is no tab {name!r}: known are {', '.join(TAB_BUILDERS)}.")
    # Only the best trial gets all stored results, for its choices over time: each of them is read
    # from the log.
    best = view.build_outcome().best
    outcome = view.build_outcome(full_trial=best.id if best else "")
    return _list_for_json(TAB_BUILDERS[name](outcome))


def _build_picture(outcome: Outcome) -> list[Part]:
    nodes = shared_sections.list_node_parts(outcome)
    if nodes:
        nodes = ["<h3>Loss of each node by interventions</h3>", *nodes]
    episode = "".join(shared_sections.list_episode_parts(outcome))
    parts = [*filter(None, [episode]), *shared_sections.list_choice_parts(outcome), *nodes]
    return parts or [render_note("This environment shows no episodes, choices or losses by node.")]


TAB_BUILDERS: dict[str, Callable[[Outcome], list[Part]]] = {
    "comparison": shared_sections.list_setting_parts,
    "ledger": shared_sections.list_ledger_parts,
    "picture": _build_picture,
}
"""Builder of each tab by its name."""


def _list_for_json(parts: Sequence[Part]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, str):
            found.append({"html": part})
        elif isinstance(part, list):
            found += _list_for_json(part)
        else:
            figure = json.loads(part.plot.to_json() or "{}")
            shown = {"data": figure["data"], "layout": figure["layout"]}
            found.append({"caption": part.caption, "figure": shown, "wide": part.wide})
    return found
