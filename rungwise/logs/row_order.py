"""The order of the rows of a finished log: some tables have the newest first, or none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rungwise.health.improvement import FloatArray, keep_finite
from rungwise.health.metric_table import as_number
from rungwise.logs.log_record import Record
from rungwise.logs.names.name_matching import match_metrics

COUNTERS = ("env_steps", "iteration")
SHORTEST = 20
"""Rows, and changes of a count, at least: in fewer, lengths of episodes can fall, too."""
MOST_RESUMES = 5
"""Resumes of a run at most: a counter that begins anew more often counts something else."""
MOST_RISES = 0.05
"""Rises for each fall where the newest row is the first: they are of runs that were continued
at an earlier step, or are above each other."""


def order_records(records: Sequence[Record]) -> list[Record]:
    """Return the records of a finished log from the oldest to the newest.

    They are turned where their counters fall, and sorted where these are in no order but, once
    sorted, rise by the same amount from row to row. Any other order has a meaning of its own:
    several runs one after the other, a resume, or steps of each row.
    """
    matches = match_metrics(records[0].values if records else (), {}).items()
    names = [foreign for foreign, metric in matches if metric.name in COUNTERS]
    columns = [np.array([as_number(r.values.get(name)) for r in records]) for name in names]
    if len(records) <= SHORTEST or not columns or not np.isfinite(columns).all():
        return list(records)
    if all(_falls(column) for column in columns):
        return list(records[::-1])
    order = np.argsort(columns[0])
    steps = [np.diff(column[order]) for column in columns]
    # Lengths of episodes have gaps, or are all numbers of a range.
    if all(np.ptp(step) == 0 and step[0] > 1 for step in steps):
        return [records[at] for at in order]
    return list(records)


def join_resumed(records: Sequence[Record]) -> list[Record]:
    """Return the records of one run, without counters that a resume began anew.

    Only where the score continues: an untrained agent is another run.
    """
    matches = match_metrics(records[0].values if records else (), {}).items()
    counters = [foreign for foreign, metric in matches if metric.name in COUNTERS]
    scores = [foreign for foreign, metric in matches if metric.name.startswith("return_mean")]
    columns = np.array([[as_number(r.values.get(n)) for r in records] for n in counters + scores])
    clocks, returns = columns[: len(counters)], columns[len(counters) :]
    anew = 1 + np.flatnonzero((clocks[:, 1:] <= clocks[:, :1]).all(0)) if counters else ()
    goes_on = [continues_score(returns[0, :at], returns[0, at:]) for at in anew if scores]
    if len(goes_on) > MOST_RESUMES or not any(goes_on) or not all(goes_on):
        return list(records)
    return [
        Record(r.location, {n: r.values[n] for n in r.values if n not in counters}) for r in records
    ]


def continues_score(earlier: FloatArray, later: FloatArray) -> bool:
    """Return whether a score begins where the earlier one ended, and not where that began."""
    earlier, later = keep_finite(earlier), keep_finite(later)
    if not earlier.size or not later.size:
        return False
    few = max(1, min(earlier.size, later.size) // 10)
    begin, end, level = (part.mean() for part in (earlier[:few], earlier[-few:], later[:few]))
    return bool(abs(level - begin) >= abs(level - end))


def _falls(column: FloatArray) -> bool:
    changes = np.diff(column)
    falls, rises = int((changes < 0).sum()), int((changes > 0).sum())
    return falls >= SHORTEST and rises <= MOST_RISES * falls
