"""The metrics of a run as gauges and counters of Ray, which Prometheus scrapes from every node.

A name is ``rungwise_`` and the name in the catalogue; Ray prepends ``ray_`` and appends ``_total``
to counters. Each metric has the tags ``run`` and ``trial``.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from ray.util.metrics import Counter, Gauge

from rungwise.metrics import METRICS
from rungwise.run_log.event_log import read_log_ends
from rungwise.run_log.events import EndRow, FindingRow, ResultRow, Row
from rungwise.run_log.trial_outcome import to_finite_float

PREFIX = "rungwise_"
SCORE, FINDING = "score", "finding"
MOST = 200
"""Trials above which only scores are exported: each metric of each trial is a time series."""
COUNTED = {
    "env_steps": "environment steps taken",
    "iterations": "training iterations run",
    "trials_ended": "trials that have ended, by reason",
}
"""Counters and what each counts."""
LEVEL = {"note": 1, "warn": 2, "stop": 3}
"""Value of the gauge ``finding`` for the highest open severity; 0 once the trial has ended."""


def list_gauge_metrics() -> dict[str, str]:
    """List the metrics of the catalogue that are single numbers, with their meanings."""
    words = ("text", "shares")
    return {
        name: f"{metric.meaning} [{metric.unit}]" if metric.unit else metric.meaning
        for name, metric in METRICS.items()
        if metric.unit not in words and name not in COUNTED
    }


def name_run(directory: Path) -> str:
    """Return the tag of a run: its name and its id, as two runs on a Ray may have one name."""
    name, first = directory.absolute().name, None
    with suppress(FileNotFoundError):
        first, _ = read_log_ends(directory / "events.jsonl")
    return f"{name}-{first.id}" if first and first.id else name


class RunGauges:
    """Gauges and counters of one run, set from its event rows; needs an initialised Ray.

    Args:
        run: of :func:`name_run`.
        trials: number of its trials.
    """

    def __init__(self, run: str, trials: int) -> None:
        self.run = run
        told = (list_gauge_metrics() if trials <= MOST else {}) | {
            SCORE: "what the run is judged by"
        }
        self._gauges = {n: Gauge(PREFIX + n, said, ("run", "trial")) for n, said in told.items()}
        keys = ("run", "trial", "symptom")
        self._finding = Gauge(PREFIX + FINDING, "1 noted, 2 warned of, 3 stopped, 0 past", keys)
        keys = ("run", "trial", "reason")
        self._counters = {n: Counter(PREFIX + n, said, keys) for n, said in COUNTED.items()}
        self._reached: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        self._open: defaultdict[str, dict[str, set[int]]] = defaultdict(dict)
        """Levels of the findings that stand, by trial and symptom."""

    def show_row(self, row: Row) -> None:
        """Update the gauges and counters that an event row changes."""
        match row:
            case ResultRow():
                self._result(row)
            case FindingRow():
                levels = self._open[row.trial].setdefault(row.symptom, set())
                (levels.discard if row.withdrawn else levels.add)(LEVEL[row.severity])
                tags = {"run": self.run, "trial": row.trial, "symptom": row.symptom}
                self._finding.set(max(levels, default=0), tags)
            case EndRow():
                # A gauge keeps its last value for ever: left set, it would alert after the end.
                for symptom in self._open.pop(row.trial, ()):
                    self._finding.set(0, {"run": self.run, "trial": row.trial, "symptom": symptom})
                self._count("trials_ended", row.trial, 1, row.reason)
            case _:
                pass

    def _result(self, row: ResultRow) -> None:
        tags = {"run": self.run, "trial": row.trial}
        values = row.metrics | {SCORE: row.score}
        for name, gauge in self._gauges.items():
            if (number := to_finite_float(values.get(name))) is not None:
                gauge.set(number, tags)
        iterations, steps = self._reached[row.trial]
        self._reached[row.trial] = (row.iteration, row.env_steps)
        # Iterations that a restored trial repeats are work done, so they count again: the
        # difference is taken to the last row, even where that was at a higher iteration.
        self._count("iterations", row.trial, row.iteration - iterations)
        self._count("env_steps", row.trial, row.env_steps - steps)

    def _count(self, name: str, trial: str, amount: int, reason: str = "") -> None:
        if amount > 0:
            tags = {"run": self.run, "trial": trial, "reason": reason}
            self._counters[name].inc(amount, tags)
