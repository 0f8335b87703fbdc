"""A history whose score is a moving average, as SB3 logs it: its rows repeat each other."""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property

import numpy as np

from tune_jobs.health.history import History
from tune_jobs.health.improvement import FloatArray, Improvement, kendall_tau

WINDOW = 100
"""Episodes that a ``return_mean_100`` is the mean of."""
CHANCE = 1.96
"""Standard deviations of Kendall's tau that noise stays within in 95 % of runs."""
NOISE = 3.0
"""Standard errors that a gain must be larger than, as in :class:`Improvement`."""


@dataclasses.dataclass(frozen=True)
class Smoothed(History):
    """The same rows, judged as the fewer independent ones that they are.

    The mean of the last 100 episodes walks at random where nothing is learnt: three PPO runs on
    CartPole that could not learn (clip 1e-7, entropy weight 100, rewards times 1e5) rose by 10 to
    25 %, far beyond what their rows scatter around their own line. The noise is therefore taken
    from the jumps between rows, which differ by the episodes that are new and those that drop out,
    and the trend from rows that share no episode.
    """

    @cached_property
    def repeats(self) -> float:
        """How many neighbouring rows are means over the same episodes, at least 1."""
        episodes = self.series("episodes")
        episodes = episodes[episodes > 0]
        return max(1.0, WINDOW / float(np.median(episodes))) if episodes.size else 1.0

    @cached_property
    def improved(self) -> bool | None:
        """Whether the score has improved, and by more than the noise of means of 100 episodes."""
        plain = Improvement()
        rose = plain(self.scores, self.series("episodes"))
        if not rose:
            return rose
        r = self.scores[np.isfinite(self.scores)]
        last = math.ceil(r.size / 3)
        plateau, first = float(np.median(r[-last:])), float(r[0])
        if plateau - first <= plain.leap * max(abs(plateau), abs(first)):
            first = self._settled_start(r)
        jumps = np.diff(r)
        sd = 1.4826 * float(np.median(np.abs(jumps - np.median(jumps))))  # a leap is no noise
        # Rows that differ by e new episodes have jumps of sd sqrt(2e) / 100 of an episode's sd.
        sd *= math.sqrt(self.repeats / 2)
        return plateau - first > NOISE * sd * math.sqrt(1 + min(1.0, self.repeats / last))

    def _settled_start(self, r: FloatArray) -> float:
        """The mean of the first rows [R] whose window is full: short episodes finish first."""
        start = min(math.ceil(self.repeats), r.size // 5)
        return float(r[start : start + math.ceil(r.size / 10)].mean())

    @cached_property
    def trend(self) -> float:
        """Kendall's tau of the rows that share no episode; 0 where chance would give as much."""
        scores = self.scores[np.isfinite(self.scores)]
        apart = scores[:: -min(math.ceil(self.repeats), max(1, scores.size // 8))][::-1]
        n = apart.size
        if n < 3:
            return 0.0
        tau = kendall_tau(apart)
        return tau if abs(tau) > CHANCE * math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1))) else 0.0
