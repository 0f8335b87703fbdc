"""A run in the words and numbers that the page shows, as plain data for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.dashboard.run_view import RunView
from cluster.queue.orders import get_run_state, read_order
from tune_jobs.formatting import (
    count,
    format_duration,
    format_end_reason,
    format_identifier,
    format_measurement,
    format_number,
    format_percent,
)
from tune_jobs.report.plots import ACCENT, ENDS, MUTED, PALETTE, spans_decades
from tune_jobs.run_log.driver_lock import has_driver
from tune_jobs.run_log.events import (
    DISPROVED,
    DecisionRow,
    EndRow,
    FindingRow,
    JobEndRow,
    JobRow,
    Row,
    read_log_ends,
)
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.trial_outcome import TrialOutcome

POINTS = 20_000
"""Points of a plot in all trials together, which a browser draws at once."""
FEWEST, MOST = 60, 400
"""Points of one trial: a screen has no more columns to show."""
STYLE = {
    "accent": ACCENT,
    "muted": MUTED,
    "palette": PALETTE,
    "ends": {
        name: {"colour": c, "symbol": s, "message": format_end_reason(name)}
        for name, (c, s) in ENDS.items()
    },
}
"""The report's colours and marks."""


def list_runs(directories: Sequence[Path]) -> list[dict[str, Any]]:
    """The runs, the last changed first, from the first and the last line of their logs."""
    return sorted((_summarise_run(d) for d in directories), key=lambda run: -run["changed"])


def _summarise_run(directory: Path) -> dict[str, Any]:
    path = directory / "events.jsonl"
    job, _ = read_log_ends(path)
    state, said = get_run_state(directory)
    about = f"{_plain_env(job)}, {job.algo}" if job else "not the log of a run"
    changed = path.stat().st_mtime
    return {"name": directory.name, "changed": changed, "state": said or state, "about": about}


def list_waiting_runs(directories: Sequence[Path]) -> list[dict[str, str]]:
    """The runs that wait for their turn or could not begin, those to begin first in front."""
    found = [(order, d) for d in directories if (order := read_order(d)) and not has_driver(d)]
    found.sort(key=lambda pair: (-pair[0].priority, pair[0].ordered_at))
    return [{"name": d.name, "message": order.failure or "waits"} for order, d in found]


def build_run_state(board: RunView) -> dict[str, Any]:
    """Everything about a run but its curves and what happened in it."""
    if board.job is None:
        return {"read_fraction": board.read_fraction, "job": None, "trials": [], "happened": 0}
    outcome = board.build_outcome()
    job, best = outcome.job, outcome.best
    scores = [s for t in outcome.trials if (s := t.finite_score) is not None]
    return {
        "read_fraction": board.read_fraction,
        "job": {
            "name": board.directory.name,
            "about": _about(job) + _failure(outcome),
            "metric": format_identifier(job.metric),
            "mode": job.mode,
            "iterations": job.iterations,
            "rungs": list(outcome.rungs),
            "searched": job.searched,
            "log": spans_decades(scores, decades=1),
            "ended": outcome.end is not None,
            "resumed": job.resumed,
        },
        "cards": _cards(outcome),
        "trials": [_trial(trial, trial is best, job) for trial in outcome.trials],
        "metrics": _metrics(outcome),
        "happened": sum(_is_event(row) for _, row in board.other_rows),
    }


def build_curves(board: RunView, metric: str, since: int = -1) -> dict[str, dict[str, list[Any]]]:
    """A metric (the score if it has no name) of every trial with news since a version.

    It is thinned to what a screen can show.
    """
    most = max(FEWEST, min(MOST, POINTS // max(1, len(board.trial_results))))
    found: dict[str, dict[str, list[Any]]] = {}
    for trial, course in sorted(board.trial_results.items()):
        if course.version > since:
            points = board.get_curve(trial, metric, most)
            found[trial] = {"x": [x for x, _ in points], "y": [_short(y) for _, y in points]}
    return found


def list_events(board: RunView, after: int) -> list[dict[str, Any]]:
    """Every decision, finding and end in words, in the order of the log, from a number on."""
    rows = [row for _, row in board.other_rows if _is_event(row)]
    return [_describe_event(row) for row in rows[after:]]


def _is_event(row: Row) -> bool:
    return isinstance(row, DecisionRow | FindingRow | EndRow | JobEndRow | JobRow)


def _describe_event(row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {"time": row.time, "kind": row.kind, "trial": getattr(row, "trial", "")}
    match row:
        case FindingRow() if row.withdrawn:
            told["severity"] = "note"
            told["title"] = (
                f"{format_identifier(row.symptom)} is withdrawn at iteration {row.withdrawn}"
            )
            told["text"] = _sentence(DISPROVED)
        case FindingRow():
            told["severity"] = row.severity
            told["title"] = f"{format_identifier(row.symptom)} since iteration {row.since}"
            told["text"] = " ".join(
                filter(None, (_sentence(row.evidence), _sentence(row.siblings)))
            )
            told["remedy"] = row.remedy
        case DecisionRow():
            told["title"] = "goes on" if row.keep else "does not go on"
            told["text"] = _sentence(row.sentence)
        case EndRow():
            told["title"] = (
                f"ended after {count(row.iteration, 'iteration')}: {format_end_reason(row.reason)}"
            )
            told["text"] = _sentence(row.sentence)
        case JobEndRow():
            told["title"] = f"the job ended: {row.reason}, after {format_duration(row.seconds)}"
            told["text"] = _sentence(row.sentence)
        case JobRow():
            told["title"] = "the job was resumed" if row.resumed else "the job started"
        case _:
            pass
    return told


def _about(job: JobRow) -> str:
    started = datetime.fromtimestamp(job.time, UTC).strftime("%d %B %Y, %H:%M UTC")
    scheduler = format_end_reason(str(job.scheduler.get("kind", "none")))
    trials = count(job.trials, "trial")
    return f"{_plain_env(job)}, {job.algo}, {trials}, scheduler {scheduler}, {started}"


def _failure(outcome: Outcome) -> str:
    """Say why the driver failed, if it did."""
    if outcome.end is None or outcome.end.reason != "error":
        return ""
    return f" · failed: {outcome.end.sentence or 'its log does not say why'}"


def _plain_env(job: JobRow) -> str:
    return job.env.split(":")[-1]


def _cards(outcome: Outcome) -> list[dict[str, str]]:
    job, best = outcome.job, outcome.best
    better = "higher" if job.mode == "max" else "lower"
    of_best = f"trial {best.id}, by {outcome.best_by}; {better} is better" if best else ""
    ended = sum(trial.end_reason is not None for trial in outcome.trials)
    return [
        {
            "name": f"best {format_identifier(outcome.won.metric if outcome.won else job.metric)}",
            "value": format_measurement(outcome.best_score),
            "note": of_best or "no finite score yet",
        },
        {
            "name": "compute saved",
            "value": format_percent(outcome.compute_saved),
            "note": f"{outcome.iterations_run:,} of {outcome.budget:,} iterations run",
        },
        _time_card(outcome) | {"note": f"{ended} of {count(job.trials, 'trial')} ended"},
    ]


def _time_card(outcome: Outcome) -> dict[str, str]:
    """How long it took, or will still take at the pace so far if nothing more is saved."""
    if outcome.end is not None:
        return {"name": "time taken", "value": format_duration(outcome.end.seconds)}
    times = [trial.results[-1].time for trial in outcome.trials if trial.results]
    spent = max(times, default=outcome.job.time) - outcome.job.time
    if not outcome.iterations_run or outcome.job.resumed:
        return {"name": "time so far", "value": format_duration(spent)}
    left = spent * outcome.iterations_open / outcome.iterations_run
    return {"name": "time left, at most", "value": format_duration(left)}


def _trial(trial: TrialOutcome, best: bool, job: JobRow) -> dict[str, Any]:
    ending = trial.status_text
    if trial.sentence and trial.sentence not in ending:
        ending += f": {trial.sentence}"
    return {
        "id": trial.id,
        "best": best,
        "score": trial.finite_score,
        "measured": format_measurement(trial.score),
        "iterations": trial.iterations,
        "budget": trial.budget,
        "ended": trial.end_reason,
        "state": ending,
        "settings": {name: format_number(trial.config.get(name)) for name in job.searched},
        "checkpoint": trial.checkpoint,
    }


def _metrics(outcome: Outcome) -> list[str]:
    """The names of what some trial reports as a single number."""
    names: set[str] = set()
    for trial in outcome.trials:
        if trial.results:
            values = trial.results[-1].metrics
            more = values.keys() - names
            names |= {n for n in more if isinstance(values[n], int | float) or values[n] is None}
    return sorted(names)


def _sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", "?", "!")) else text + "."


def _short(value: float | None) -> float | None:
    """Six digits: more cannot be seen, and the page is half as large."""
    return None if value is None else float(f"{value:.6g}")
