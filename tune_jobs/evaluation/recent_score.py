"""The score of an agent: a metric's mean over its last finished episodes.

An iteration may finish hundreds of episodes, two, or none: its own mean is then as noisy as two
episodes are, and trials that are compared by it are compared by luck. So the means of trailing
iterations are pooled, each weighted by its episodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from algos.metrics import METRICS
from algos.rollouts.episode_statistics import INFO_METRICS
from tune_jobs.evaluation.scoring import HELD_OUT

POOLED = 100
"""Finished episodes that a score is the mean of: the last ones, or all while there are fewer."""
FEWEST = 20
"""Finished episodes below which a score is not given: it would rank trials by luck."""
EPISODE_MEANS = frozenset({"return_mean", "episode_length", *INFO_METRICS.values()})
"""Metrics of the catalogue that are means over the episodes that finished in an iteration."""


def is_episode_mean(metric: str) -> bool:
    """Return whether a job's metric is a mean over the episodes that finished in an iteration.

    A metric that is not in the catalogue is one of the environment's own episode metrics
    (``resolve_metric`` has refused all others), except for those of held-out episodes.
    """
    # Held-out metrics are means over a fixed number of episodes and need no pooling.
    if metric.startswith(HELD_OUT):
        return False
    return metric in EPISODE_MEANS or metric not in METRICS


class RecentEpisodes:
    """The last finished episodes of one agent, as the means and counts of trailing iterations.

    Args:
        iterations: what :attr:`iterations` of an earlier object held.
    """

    def __init__(self, iterations: Iterable[tuple[float, int]] = ()) -> None:
        self.iterations: list[tuple[float, int]] = [(mean, n) for mean, n in iterations]
        """Mean and number of the episodes of each iteration kept, the oldest first."""

    @property
    def episodes(self) -> int:
        """How many episodes are pooled."""
        return sum(n for _, n in self.iterations)

    def add(self, mean: float, episodes: int) -> None:
        """Add the episodes of an iteration; drop iterations that the last 100 do not need."""
        # Whole iterations only: single returns are not reported, and a mean cannot be split.
        self.iterations.append((mean, episodes))
        while self.episodes - self.iterations[0][1] >= POOLED:
            del self.iterations[0]

    def mean(self, fewest: int = FEWEST) -> float | None:
        """Return the mean over the pooled episodes; None if there are fewer than ``fewest``."""
        total = self.episodes
        if total < max(fewest, 1):
            return None
        return math.fsum(mean * n for mean, n in self.iterations) / total
