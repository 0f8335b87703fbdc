"""The progress of a score that is a moving average, as SB3 logs it: its rows repeat each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rungwise.health.improvement import (
    FloatArray,
    IndexArray,
    count_unsettled,
    estimate_jump_sd,
    is_at_ceiling,
    kendall_tau,
    median,
)
from rungwise.health.metric_table import MetricTable
from rungwise.health.progress import Progress

WINDOW = 100
"""Number of episodes that a ``return_mean_100`` is the mean of."""
CHANCE = 1.96
"""Standard deviations of Kendall's tau that noise stays within in 95 % of runs."""


def repeats_episodes(rows: MetricTable) -> bool:
    """Return whether the returns of a log are means of the last 100 episodes, by another name."""
    smooth, exact = rows.column("return_mean_100"), rows.column("return_mean")
    return bool(np.isfinite(smooth).any()) and np.array_equal(smooth, exact, equal_nan=True)


@dataclass(frozen=True)
class SmoothedProgress(Progress):
    """The same rows, judged as fewer independent ones.

    The mean of the last 100 episodes walks at random where nothing is learnt: three PPO runs on
    CartPole that could not learn (clip 1e-7, entropy weight 100, rewards times 1e5) rose by 10 to
    25 %, far more than the noise of their rows around a line. The noise is therefore estimated from
    the jumps between rows, which differ by the new episodes and those that drop out, and the trend
    from rows that share no episode.
    """

    @cached_property
    def repeats(self) -> float:
        """How many neighbouring rows are means over the same episodes, at least 1."""
        episodes = self.table.column("episodes")
        episodes = episodes[episodes > 0]
        # The median, because the many short episodes of the first rows would hide how much later
        # rows overlap.
        return max(1.0, WINDOW / median(episodes)) if episodes.size else 1.0

    @cached_property
    def stage_start(self) -> int:
        """The first row of the current stage that is a mean over none of the episodes before it."""
        start = super().stage_start
        return start and start + math.ceil(self.repeats)

    @property
    def episodes_per_score(self) -> FloatArray:
        """Number of episodes [R] that each score is the mean of."""
        return np.full(len(self.table), float(WINDOW))

    @cached_property
    def settled_rows(self) -> IndexArray:
        """The same without the first means, if better, of fewer episodes than later ones."""
        rows = super().settled_rows
        sizes = np.minimum(np.cumsum(np.nan_to_num(self.table.column("episodes"))), WINDOW)[rows]
        unknown = np.full(rows.size, np.nan)
        return rows[count_unsettled(self.scores[rows], sizes, unknown, unknown) :]

    def _judge_improvement(self) -> bool | None:
        """Return whether the score has improved, by more than the noise of means of 100 episodes.

        The first row is all that is left of the start of a task learnt within 100 episodes; it is
        the mean of fewer of them.
        """
        if self.cancels:
            return None
        rows = self.settled_rows
        r = self.scores[rows]
        rose = self.improvement(r, self.table.column("episodes")[rows])
        if not rose or is_at_ceiling(r):
            return rose
        last = math.ceil(r.size / 3)
        plateau, first = median(r[-last:]), float(r[0])
        # Rows that differ by e new episodes have jumps of sd sqrt(2e) / 100 of an episode's sd.
        sd = estimate_jump_sd(r) * math.sqrt(self.repeats / 2)
        end = min(1.0, self.repeats / last)
        if plateau - first > self.improvement.leap * max(abs(plateau), abs(first)):
            # The first row is the mean of one row's episodes only, so its variance is larger by
            # this factor.
            fewer = self.repeats if self.is_even else 1.0
            if plateau - first > self.improvement.noise * sd * math.sqrt(fewer + end):
                return True
        # The mean of the first rows with a full window, because short episodes finish first.
        full = min(math.ceil(self.repeats), r.size // 5)
        start = float(r[full : full + math.ceil(r.size / 10)].mean())
        return plateau - start > self.improvement.noise * sd * math.sqrt(1 + end)

    @property
    def independent_scores(self) -> FloatArray:
        """The known scores that share no episode, the newest among them."""
        return self.known_scores[:: -math.ceil(self.repeats)][::-1]

    @cached_property
    def trend(self) -> float:
        """Kendall's tau of the rows that share no episode; 0 where chance would give as much."""
        scores = self.known_scores
        # A short log is thinned less, to leave about eight rows that can have a trend.
        apart = scores[:: -min(math.ceil(self.repeats), max(1, scores.size // 8))][::-1]
        n = apart.size
        if n < 3:
            return 0.0
        tau = kendall_tau(apart)
        # Few rows are left after thinning, and among few rows chance alone often exceeds a tau of
        # 0.2.
        return tau if abs(tau) > CHANCE * math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1))) else 0.0
