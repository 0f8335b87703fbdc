"""Which event files in one folder are of one run: a resume and a new run both begin another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tune_jobs.foreign_logs.likely_return import is_return
from tune_jobs.foreign_logs.names.name_matching import match_metrics
from tune_jobs.foreign_logs.row_order import EARLY, continues_score

Relation = Literal["part", "anew", "other", ""]
"""What a later file is: a part of the run by its steps, a part whose steps begin anew, another run;
empty while it is not known."""


@dataclass(frozen=True)
class EventSpan:
    """What event files cover."""

    steps: Mapping[str, tuple[int, int]]
    """First and last step of each tag."""
    times: tuple[float, float]
    """When the first and the last of them were written, in seconds since 1970."""
    returns: tuple[float, ...]
    """In their order; empty where none is known."""

    def __or__(self, later: EventSpan) -> EventSpan:
        """Return what both cover."""
        steps = dict(self.steps)
        for tag, (first, last) in later.steps.items():
            before = steps.get(tag, (first, last))
            steps[tag] = (min(before[0], first), max(before[1], last))
        times = (min(self.times[0], later.times[0]), max(self.times[1], later.times[1]))
        return EventSpan(steps, times, self.returns + later.returns)

    def relate(self, later: EventSpan) -> Relation:
        """Return what a later file is to these."""
        pairs = [(self.steps[tag], later.steps[tag]) for tag in self.steps if tag in later.steps]
        if 2 * len(pairs) < min(len(self.steps), len(later.steps)):
            return "part"  # another writer of the same run, such as that of its evaluations
        if not _is_true_of_most(b[0] <= a[1] for a, b in pairs):
            return "part"
        if later.times[0] < self.times[1]:
            return "other"  # both were at work at the same time
        if not _is_true_of_most(b[0] <= a[0] + EARLY * (a[1] - a[0]) for a, b in pairs):
            return "part"
        if not self.returns:
            return "anew"
        if not later.returns:
            return ""
        goes_on = continues_score(np.array(self.returns), np.array(later.returns))
        return "anew" if goes_on else "other"


def measure_span(points: Sequence[tuple[str, int, float]], times: tuple[float, float]) -> EventSpan:
    """Return what points of tag, step and value cover."""
    steps: dict[str, tuple[int, int]] = {}
    for tag, step, _ in points:
        first, last = steps.get(tag, (step, step))
        steps[tag] = (min(first, step), max(last, step))
    known = match_metrics(steps, {}).items()
    scores = [tag for tag, ours in known if ours.name.startswith("return_mean")]
    score = next((tag for tag in (*scores, *steps) if tag in scores or is_return(tag)), "")
    returns = [v for tag, _, v in points if tag == score and math.isfinite(v)]
    return EventSpan(steps, times, tuple(returns))


def group_files(spans: Mapping[Path, EventSpan]) -> list[list[Path]]:
    """Return the files of each run, in their order; one without points is part of any."""
    groups: list[list[Path]] = []
    whole: EventSpan | None = None
    for file, span in spans.items():
        relation = whole.relate(span) if whole and span.steps else "part"
        if not groups or relation in ("other", ""):
            groups.append([])
            whole = None
        groups[-1].append(file)
        whole = whole | span if whole and span.steps else whole or (span if span.steps else None)
    return groups


def _is_true_of_most(cases: Iterable[bool]) -> bool:
    known = list(cases)
    return 2 * sum(known) > len(known)
