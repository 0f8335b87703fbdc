# pyright: basic
"""Recorded trials run again under Ray's own ASHA, beside ours."""

import math
from types import SimpleNamespace

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from tune_jobs.schedulers.replay import RecordedTrial


class FullRuns:
    """Every trial to its end."""

    def goes_on(self, trial: RecordedTrial, index: int) -> bool:
        """Return whether it has another result."""
        return index + 1 < len(trial.results)

    def called(self) -> None:
        """Return no trial: none is paused."""


class Stock(FullRuns):
    """Ray's own ASHA."""

    def __init__(self, mode: str, iterations: int, grace: int, factor: int) -> None:
        self.scheduler = AsyncHyperBandScheduler(
            time_attr="iteration",
            metric="score",
            mode=mode,
            max_t=iterations,
            grace_period=grace,
            reduction_factor=factor,
        )
        self.known: dict[str, SimpleNamespace] = {}

    def goes_on(self, trial: RecordedTrial, index: int) -> bool:
        if trial.id not in self.known:
            self.known[trial.id] = SimpleNamespace(trial_id=trial.id)
            self.scheduler.on_trial_add(None, self.known[trial.id])  # type: ignore[arg-type]
        row = trial.results[index]
        score = math.nan if row.score is None else row.score
        result = {"iteration": row.iteration, "score": score}
        said = self.scheduler.on_trial_result(None, self.known[trial.id], result)  # type: ignore[arg-type]
        return super().goes_on(trial, index) and said == TrialScheduler.CONTINUE
