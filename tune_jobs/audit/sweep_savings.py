"""Estimate what a scheduler would have saved and lost on runs that are there in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rungwise.run_log.events import ResultRow
from rungwise.run_log.trial_outcome import average_later_half
from tune_jobs.audit.replayed_run import ReplayedRun
from tune_jobs.audit.run_groups import RunGroup
from tune_jobs.jobs.budget import FIRST_RUNG
from tune_jobs.jobs.job_fields import JobFields
from tune_jobs.schedulers.replay import ReplayedHalving, replay_trials

FEWEST = 8
"""Runs of a group that are worth a scheduler."""
ITERATIONS = 1000
"""Parts of a run that the scheduler counts."""
WORKERS = 4
"""Runs that are taken to have run at the same time."""
BRACKETS: Mapping[str, int] = {"asha": 1, "hyperband": 3}
Scheduler = Literal["asha", "hyperband", "none"]


@dataclass(frozen=True)
class SweepSavings:
    """A group of runs under a scheduler."""

    group: str
    runs: int
    saved: float
    """Share of all steps that would not have been run."""
    chosen: str
    """The run that would have been chosen."""
    regret: float
    """How much worse it ends than the best, as a share of the group's range."""


@dataclass(frozen=True)
class _Trial:
    id: str
    results: Sequence[ResultRow]


def replay_group(group: RunGroup, scheduler: Scheduler = "asha") -> SweepSavings | None:
    """Return what a scheduler with its defaults would have done with the runs of a group.

    None of a group of fewer than eight runs with scores.
    """
    runs = {run.name: run for run in group.runs if run.final_score is not None}
    if len(runs) < FEWEST:
        return None
    mode, ends = group.runs[0].mode, {name: run.final_score or 0.0 for name, run in runs.items()}
    trials = [_Trial(name, _list_results(run)) for name, run in runs.items()]
    way = ReplayedHalving(
        trials,
        mode,
        ITERATIONS,
        round(FIRST_RUNG * ITERATIONS),
        JobFields.reduction_factor,
        BRACKETS[scheduler],
    )
    reached = replay_trials(trials, way, WORKERS).reached
    sign = -1 if mode == "min" else 1
    full = [t for t in trials if reached[t.id] == len(t.results)] or trials
    chosen = max(full, key=lambda trial: sign * _settle(trial)).id
    best = max(ends.values(), key=lambda end: sign * end)
    extent = max(ends.values()) - min(ends.values())
    total = sum(run.length for run in runs.values())
    ran = sum(runs[name].length * runs[name].shares[count - 1] for name, count in reached.items())
    return SweepSavings(
        group.name,
        len(runs),
        saved=1 - ran / total,
        chosen=chosen,
        regret=abs(best - ends[chosen]) / extent if extent else 0.0,
    )


def _list_results(run: ReplayedRun) -> list[ResultRow]:
    def make(share: float, score: float | None) -> ResultRow:
        at, seconds = round(ITERATIONS * share), run.length * share
        return ResultRow(trial=run.name, iteration=at, score=score, seconds=seconds, env_steps=0)

    return list(map(make, run.shares, run.scores))


def _settle(trial: _Trial) -> float:
    """Return what a finished trial is ranked by: as in a sweep, the mean of its later half."""
    scores = [
        (result.iteration, result.score) for result in trial.results if result.score is not None
    ]
    return average_later_half(scores, scores[-1][0])
