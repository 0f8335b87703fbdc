"""A run in the words and numbers that the page shows, as plain data for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.dashboard.board import Board, first_and_last
from cluster.service.orders import order_of, state_of
from tune_jobs.driver_lock import driven
from tune_jobs.events import DISPROVED, DecisionRow, EndRow, FindingRow, JobEndRow, JobRow, Row
from tune_jobs.figures import ACCENT, ENDS, MUTED, PALETTE, spans
from tune_jobs.outcome import Outcome
from tune_jobs.trial_outcome import TrialOutcome
from tune_jobs.words import count, duration, measured, number, percent, reason, spoken

POINTS = 20_000
"""Points of a plot in all trials together, which a browser draws at once."""
FEWEST, MOST = 60, 400
"""Points of one trial: a screen has no more columns to show."""
STYLE = {
    "accent": ACCENT,
    "muted": MUTED,
    "palette": PALETTE,
    "ends": {
        name: {"colour": c, "symbol": s, "said": reason(name)} for name, (c, s) in ENDS.items()
    },
}
"""The report's colours and marks."""


def listed(directories: Sequence[Path]) -> list[dict[str, Any]]:
    """The runs, the last changed first, from the first and the last line of their logs."""
    return sorted((_listed(d) for d in directories), key=lambda run: -run["changed"])


def _listed(directory: Path) -> dict[str, Any]:
    path = directory / "events.jsonl"
    job, _ = first_and_last(path)
    state, said = state_of(directory)
    about = f"{_plain_env(job)}, {job.algo}" if job else "not the log of a run"
    changed = path.stat().st_mtime
    return {"name": directory.name, "changed": changed, "state": said or state, "about": about}


def waiting(directories: Sequence[Path]) -> list[dict[str, str]]:
    """The runs that wait for their turn or could not begin, those to begin first in front."""
    found = [(order, d) for d in directories if (order := order_of(d)) and not driven(d)]
    found.sort(key=lambda pair: (-pair[0].priority, pair[0].since))
    return [{"name": d.name, "said": order.failed or "waits"} for order, d in found]


def shown(board: Board) -> dict[str, Any]:
    """Everything about a run but its curves and what happened in it."""
    if board.job is None:
        return {"share_read": board.share_read, "job": None, "trials": [], "happened": 0}
    outcome = board.outcome()
    job, best = outcome.job, outcome.best
    scores = [s for t in outcome.trials if (s := t.finite_score) is not None]
    return {
        "share_read": board.share_read,
        "job": {
            "name": board.directory.name,
            "about": _about(job) + _failure(outcome),
            "metric": spoken(job.metric),
            "mode": job.mode,
            "iterations": job.iterations,
            "rungs": list(outcome.rungs),
            "searched": job.searched,
            "log": spans(scores, decades=1),
            "ended": outcome.end is not None,
            "resumed": job.resumed,
        },
        "cards": _cards(outcome),
        "trials": [_trial(trial, trial is best, job) for trial in outcome.trials],
        "metrics": _metrics(outcome),
        "happened": sum(_happens(row) for _, row in board.told),
    }


def curves(board: Board, metric: str, since: int = -1) -> dict[str, dict[str, list[Any]]]:
    """A metric (the score if it has no name) of every trial with news since a version.

    It is thinned to what a screen can show.
    """
    most = max(FEWEST, min(MOST, POINTS // max(1, len(board.courses))))
    found: dict[str, dict[str, list[Any]]] = {}
    for trial, course in sorted(board.courses.items()):
        if course.version > since:
            points = board.curve(trial, metric, most)
            found[trial] = {"x": [x for x, _ in points], "y": [_short(y) for _, y in points]}
    return found


def happened(board: Board, after: int) -> list[dict[str, Any]]:
    """Every decision, finding and end in words, in the order of the log, from a number on."""
    rows = [row for _, row in board.told if _happens(row)]
    return [_told(row) for row in rows[after:]]


def _happens(row: Row) -> bool:
    return isinstance(row, DecisionRow | FindingRow | EndRow | JobEndRow | JobRow)


def _told(row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {"time": row.time, "kind": row.kind, "trial": getattr(row, "trial", "")}
    match row:
        case FindingRow() if row.withdrawn:
            told["severity"] = "note"
            told["title"] = f"{spoken(row.symptom)} is withdrawn at iteration {row.withdrawn}"
            told["text"] = _sentence(DISPROVED)
        case FindingRow():
            told["severity"] = row.severity
            told["title"] = f"{spoken(row.symptom)} since iteration {row.since}"
            told["text"] = " ".join(
                filter(None, (_sentence(row.evidence), _sentence(row.siblings)))
            )
            told["remedy"] = row.remedy
        case DecisionRow():
            told["title"] = "goes on" if row.keep else "does not go on"
            told["text"] = _sentence(row.sentence)
        case EndRow():
            told["title"] = f"ended after {count(row.iteration, 'iteration')}: {reason(row.reason)}"
            told["text"] = _sentence(row.sentence)
        case JobEndRow():
            told["title"] = f"the job ended: {row.reason}, after {duration(row.seconds)}"
            told["text"] = _sentence(row.sentence)
        case JobRow():
            told["title"] = "the job was resumed" if row.resumed else "the job started"
        case _:
            pass
    return told


def _about(job: JobRow) -> str:
    started = datetime.fromtimestamp(job.time, UTC).strftime("%d %B %Y, %H:%M UTC")
    scheduler = reason(str(job.scheduler.get("kind", "none")))
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
            "name": f"best {spoken(outcome.won.metric if outcome.won else job.metric)}",
            "value": measured(outcome.best_score),
            "note": of_best or "no finite score yet",
        },
        {
            "name": "compute saved",
            "value": percent(outcome.compute_saved),
            "note": f"{outcome.iterations_run:,} of {outcome.budget:,} iterations run",
        },
        _time_card(outcome) | {"note": f"{ended} of {count(job.trials, 'trial')} ended"},
    ]


def _time_card(outcome: Outcome) -> dict[str, str]:
    """How long it took, or will still take at the pace so far if nothing more is saved."""
    if outcome.end is not None:
        return {"name": "time taken", "value": duration(outcome.end.seconds)}
    times = [trial.results[-1].time for trial in outcome.trials if trial.results]
    spent = max(times, default=outcome.job.time) - outcome.job.time
    if not outcome.iterations_run or outcome.job.resumed:
        return {"name": "time so far", "value": duration(spent)}
    left = spent * outcome.iterations_open / outcome.iterations_run
    return {"name": "time left, at most", "value": duration(left)}


def _trial(trial: TrialOutcome, best: bool, job: JobRow) -> dict[str, Any]:
    ending = trial.state
    if trial.sentence and trial.sentence not in ending:
        ending += f": {trial.sentence}"
    return {
        "id": trial.id,
        "best": best,
        "score": trial.finite_score,
        "measured": measured(trial.score),
        "iterations": trial.iterations,
        "budget": trial.budget,
        "ended": trial.end_reason,
        "state": ending,
        "settings": {name: number(trial.config.get(name)) for name in job.searched},
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
