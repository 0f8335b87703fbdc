"""Runs of one task, compared with each other: which stops were right."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Literal

from tune_jobs.audit.replayed_run import ReplayedRun

StopVerdict = Literal["right", "wrong", "good", "unknown"]
"""``wrong`` if the score rose after a stop, ``good`` if it did not but the run was at its best then
or ended in the best third of its group, ``unknown`` where the log has no score."""
FEWEST_RANKED = 3
"""Runs of a group that has a best third."""


@dataclass(frozen=True)
class RunGroup:
    """Runs of one task."""

    name: str
    runs: tuple[ReplayedRun, ...]
    """Judged runs only, in the order of their names."""

    @cached_property
    def best_third(self) -> frozenset[str]:
        """Names of the runs that ended in the best third, of at least three.

        A run that ended as badly as the worst is never among them: where most runs never find a
        reward the best third is smaller than a third.
        """
        sign = -1 if self.runs[0].mode == "min" else 1
        ends = {r.name: sign * r.final_score for r in self.runs if r.final_score is not None}
        if len(ends) < FEWEST_RANKED:
            return frozenset()
        ranked = sorted(ends.values())
        limit, worst = ranked[-(len(ranked) // 3)], ranked[0]
        return frozenset(name for name, end in ends.items() if end >= limit and end > worst)

    def judge_stop(self, run: ReplayedRun) -> StopVerdict:
        """Return whether the stop of one of the runs was right."""
        if run.rose is None:
            return "unknown"
        if run.rose:
            return "wrong"
        return "good" if run.was_best or run.name in self.best_third else "right"


def group_runs(runs: Iterable[ReplayedRun], pattern: str = "") -> list[RunGroup]:
    """Return the judged runs in groups of one task, in the order of their names.

    Args:
        runs: of all logs.
        pattern: regular expression that finds a group in a run's path: its first group, or all that
            it matches. Without one, runs of the same environment and metric are together, and where
            none is known those of one folder.
    """
    groups: dict[str, list[ReplayedRun]] = {}
    for run in runs:
        if run.is_judged:
            groups.setdefault(_name_group(run, pattern), []).append(run)
    return [
        RunGroup(name, tuple(sorted(members, key=lambda run: run.name)))
        for name, members in sorted(groups.items())
    ]


def _name_group(run: ReplayedRun, pattern: str) -> str:
    if pattern:
        match = re.search(pattern, run.path)
        # A group that is optional may have matched nothing.
        return (match and match[min(match.re.groups, 1)]) or "the others"
    task = run.env or PurePath(run.name).parent.as_posix()
    return f"{task}, {run.metric}"
