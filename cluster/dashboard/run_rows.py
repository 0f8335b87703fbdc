"""Rows of the list of runs: what their small files say at once, and figures read one by one."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from cluster.dashboard.run_index import RunIndex, SharedView
from cluster.dashboard.run_view import RunView
from cluster.queue.orders import get_run_state, read_order
from rungwise.formatting import format_identifier
from rungwise.run_directory import read_number_of_trials
from rungwise.run_log.event_log import read_log_ends
from rungwise.run_log.trial_outcome import to_finite_float
from tune_jobs.report.result_score import find_result_score

SPARK_POINTS = 40
"""Points of the small curve of a run's best score."""
Stamp = tuple[float, int]


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
            known = self._rows.get(directory)
            if known is None or known[0] != _stamp(directory):
                self._missing.append(directory)
            figures = known[1] if known else {}
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
        figures["bytes"] = await asyncio.to_thread(_measure_size, directory)
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


def _measure_size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if _is_plain(path))


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


def _is_plain(path: Path) -> bool:
    return not path.is_symlink() and os.access(path, os.R_OK) and path.is_file()
