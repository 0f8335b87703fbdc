"""How far a score may be off: its standard error over episodes and seeds.

The scatter of episodes says nothing about what a policy wins and loses from update to update. That
is estimated from the jumps between scores (:func:`estimate_score_sd`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rungwise.episode_pool import pool_episodes
from rungwise.run_log.trial_outcome import (
    POOLED,
    SPREAD,
    average_later_half,
    read_stage,
    to_finite_float,
)


class EpisodeSample(NamedTuple):
    """The episodes that finished in one iteration."""

    episodes: int
    mean: float
    variance: float
    seed_error: float = 0.0
    """Standard error over the seeds of the trial; 0 where there is only one."""

    @property
    def error(self) -> float:
        """Standard error of the mean by the scatter of these episodes."""
        return math.sqrt(self.variance / self.episodes)


@dataclass(frozen=True)
class NoiseSource:
    """Where the noise of a job's score is read from."""

    metric: str = ""
    """Name of the score."""
    seeds: int = 1
    """Agents of each trial; its score is their mean."""

    def read(self, metrics: Mapping[str, Any]) -> EpisodeSample | None:
        """Return the episodes of an iteration; None where their spread is not known."""
        mean, number = (to_finite_float(metrics.get(name)) for name in (self.metric, "episodes"))
        if mean is None or not number or number < 1:
            return None
        if self.metric == "return_mean":
            deviation = to_finite_float(metrics.get("return_std"))
            # A power would raise an error where a product is infinite.
            variance = None if deviation is None else deviation * deviation
        else:  # of successes the mean says it
            variance = mean * (1 - mean) if self.metric == "success_rate" else None
        if variance is None or not 0 <= variance < math.inf:
            return None
        spread = to_finite_float(metrics.get(SPREAD)) or 0.0
        return EpisodeSample(int(number), mean, variance, spread / math.sqrt(self.seeds))

    def read_stage(self, metrics: Mapping[str, Any]) -> float | None:
        """Return the stage of a curriculum that an iteration was scored at; None if not known."""
        return read_stage(self.metric, metrics)


@dataclass
class TrialCurve:
    """The scores of a trial so far, and the episodes behind them; of a curriculum, at its stage."""

    scores: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """Iterations with their scores."""
    samples: list[tuple[int, EpisodeSample]] = field(
        default_factory=list[tuple[int, EpisodeSample]]
    )

    stage: float = 0.0
    """A trial at a later stage is better, whatever its score there."""

    def add(
        self, iteration: int, score: float | None, metrics: Mapping[str, Any], noise: NoiseSource
    ) -> None:
        """Add the result of an iteration; it replaces those that a restarted trial repeats."""
        sample, stage = noise.read(metrics), noise.read_stage(metrics)
        if stage is not None and stage != self.stage:
            self.scores.clear()
            self.samples.clear()
            self.stage = stage
        for entries in (self.scores, self.samples):
            while entries and entries[-1][0] >= iteration:
                entries.pop()
        if score is not None:
            self.scores.append((iteration, score))
        if sample is not None:
            self.samples.append((iteration, sample))

    def average(self) -> tuple[float, float | None]:
        """Return what ranks the trial, whose last score is finite, and its standard error."""
        last = self.scores[-1][0]
        return average_later_half(self.scores, last), self.estimate_standard_error(last // 2 + 1)

    def estimate_standard_error(self, since: int) -> float | None:
        """Return the standard error of the mean score since an iteration; None if not known.

        The episodes since then count as one sample. The score of an iteration pools those of
        earlier ones until they are 100, and so does the sample.
        """
        window = list[EpisodeSample]()
        for at, sample in reversed(self.samples):
            if at < since and sum(s.episodes for s in window) >= POOLED:
                break
            window.append(sample)
        if not window:
            return None
        columns = np.array([(s.mean, math.sqrt(s.variance), s.episodes) for s in window])
        _, error = pool_episodes(*columns.T)
        # Seeds differ by their episodes, too, so their standard error already holds that of those.
        error = max(error, window[0].seed_error)
        return error if math.isfinite(error) else None
