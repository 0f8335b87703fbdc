"""Which event files in one folder are of one run: a resume and a new run both begin another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tune_jobs.foreign_logs.formats.points import Point
from tune_jobs.foreign_logs.likely_return import is_return
from tune_jobs.foreign_logs.names.name_matching import match_metrics
from tune_jobs.foreign_logs.row_order import EARLY, continues_score

Relation = Literal["part", "anew", "other"]
"""What a later file is: a part of the run by its steps, a part whose steps begin anew, another run,
or one that has no return yet."""


@dataclass(frozen=True)
class EventSpan:
    """What event files cover."""

    steps: Mapping[str, tuple[int, int]]
    """First and last step of each tag."""
    times: tuple[float, float]
    """When the first and the last of them were written, in seconds since 1970."""
    returns: tuple[float, ...]
    """In their order; empty where none is known."""

    def relate(self, later: EventSpan) -> Relation:
        """Return what a later file is to these; one without points is part of any."""
        pairs = [(self.steps[tag], later.steps[tag]) for tag in self.steps if tag in later.steps]
        if 2 * len(pairs) < min(len(self.steps), len(later.steps)):
            return "part"  # another writer of the same run, such as that of its evaluations
        if not _is_true_of_most(b[0] <= a[1] for a, b in pairs):
            return "part"
        if later.times[0] < self.times[1]:
            return "other"  # both were at work at the same time
        if not _is_true_of_most(b[0] <= a[0] + EARLY * (a[1] - a[0]) for a, b in pairs):
            return "part"
        scores = np.array(self.returns), np.array(later.returns)
        return "anew" if not self.returns or continues_score(*scores) else "other"

    def extend(self, later: EventSpan, shift: int) -> EventSpan:
        """Return what these and a later part of their run cover, if its steps are shifted."""
        steps = {tag: (first + shift, last + shift) for tag, (first, last) in later.steps.items()}
        for tag, (first, last) in self.steps.items():
            steps[tag] = (first, max(last, steps.get(tag, (first, last))[1]))
        times = (min(self.times[0], later.times[0]), max(self.times[1], later.times[1]))
        return EventSpan(steps, times, self.returns + later.returns)


NOTHING = EventSpan({}, (math.inf, -math.inf), ())


def measure_span(points: Sequence[Point], times: tuple[float, float]) -> EventSpan:
    """Return what points cover."""
    steps: dict[str, tuple[int, int]] = {}
    for tag, step, _ in points:
        first, last = steps.get(tag, (step, step))
        steps[tag] = (min(first, step), max(last, step))
    known = match_metrics(steps, {}).items()
    scores = [tag for tag, ours in known if ours.name.startswith("return_mean")]
    score = next((tag for tag in (*scores, *steps) if tag in scores or is_return(tag)), "")
    returns = [v for tag, _, v in points if tag == score and math.isfinite(v)]
    return EventSpan(steps, times, tuple(returns))


def group_files(spans: Mapping[Path, EventSpan]) -> list[dict[Path, int]]:
    """Return the files of each run, in their order, with what is added to their steps."""
    runs: list[dict[Path, int]] = [{}]
    whole, shift = NOTHING, 0
    for file, span in spans.items():
        relation = whole.relate(span)
        if relation == "anew":
            # A count from 0 has one step more than a count from 1.
            from_zero = min(first for first, _ in span.steps.values()) <= 0
            shift = max(last for _, last in whole.steps.values()) + from_zero
        elif relation != "part":
            runs.append({})
            whole, shift = NOTHING, 0
        runs[-1][file] = shift
        whole = whole.extend(span, shift)
    return runs


def _is_true_of_most(cases: Iterable[bool]) -> bool:
    known = list(cases)
    return 2 * sum(known) > len(known)
