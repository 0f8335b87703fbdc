"""Which event files in one folder are of one run: a resume and a new run both begin another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rungwise.logs.formats.points import Point
from rungwise.logs.likely_return import is_return
from rungwise.logs.names.name_matching import match_metrics
from rungwise.logs.row_order import continues_score

EARLY = 0.1
"""Share of a run up to which later steps begin anew, where a checkpoint repeats some."""


class EventSpan(NamedTuple):
    """The tags, times and steps that event files cover."""

    tags: frozenset[str] = frozenset()
    times: tuple[float, float] = (math.inf, -math.inf)
    """When the first and the last scalar were written, in seconds since 1970."""
    first: float = math.inf
    """First and last step of the return; of all tags where none is known."""
    last: float = -math.inf
    returns: tuple[float, ...] = ()
    """In their order; empty where none is known."""


def measure_span(points: Sequence[Point], times: tuple[float, float]) -> EventSpan:
    """Return what points cover."""
    tags = dict.fromkeys(tag for tag, _, _ in points)
    matches = match_metrics(tags, {}).items()
    scores = [tag for tag, metric in matches if metric.name.startswith("return_mean")]
    score = next((tag for tag in (*scores, *tags) if tag in scores or is_return(tag)), "")
    steps = [step for tag, step, _ in points if tag == score or not score]
    returns = [v for tag, _, v in points if tag == score and math.isfinite(v)]
    ends = (min(steps), max(steps)) if steps else (math.inf, -math.inf)
    return EventSpan(frozenset(tags), times, *ends, tuple(returns))


def group_files(spans: Mapping[Path, EventSpan]) -> list[dict[Path, int]]:
    """Return the files of each run, in their order, with what is added to their steps."""
    runs: list[dict[Path, int]] = [{}]
    whole, shift = EventSpan(), 0
    for file, span in spans.items():
        shares = 2 * len(whole.tags & span.tags) >= min(len(whole.tags), len(span.tags))
        # Else another writer of the same run, such as that of its evaluations, or steps that go on.
        if shares and span.first <= whole.last:
            begins = span.first <= whole.first + EARLY * (whole.last - whole.first)
            goes_on = continues_score(np.array(whole.returns), np.array(span.returns))
            # At work at the same time, or an untrained agent, or one that has no return yet.
            if span.times[0] < whole.times[1] or (begins and whole.returns and not goes_on):
                runs.append({})
                whole, shift = EventSpan(), 0
            elif begins:  # a count from 0 has one step more than a count from 1
                shift = int(whole.last) + (span.first <= 0)
        runs[-1][file] = shift
        whole = EventSpan(
            whole.tags | span.tags,
            (min(whole.times[0], span.times[0]), max(whole.times[1], span.times[1])),
            min(whole.first, span.first + shift),
            max(whole.last, span.last + shift),
            whole.returns + span.returns,
        )
    return runs
