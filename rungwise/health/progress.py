"""Progress of a run's score: whether it has improved, rises now, or had learnt before."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from rungwise.health.improvement import (
    CONSTANT,
    FloatArray,
    Improvement,
    IndexArray,
    count_unsettled,
    is_constant,
    is_rising,
    keep_finite,
    kendall_tau,
    pool_scores,
)
from rungwise.health.metric_table import MetricTable
from rungwise.metrics import STAGE, depends_on_stage

LARGEST = 1e300
"""Size of a score up to which sums over a run do not overflow."""
POOLED = 20
"""Episodes that a row must be the mean of to be judged by itself."""
CHECKS = 8
"""Evenly spaced checks up to now: if the score had improved at two of these in a row, the run has
learnt. So do 0.5 % of runs of 60 rows of noise, and 4.5 % if one check were enough."""
_EVEN, _UNEVEN = Improvement(episodes=0, leap=Improvement.relative), Improvement()


@dataclass(frozen=True)
class Progress:
    """The score in the rows of a run up to now, and what it says about the run.

    A score exists only in the rows that measured one: a held-out score in every tenth, say. So what
    is judged by the score counts scores and not rows.
    """

    table: MetricTable
    """One row per iteration, oldest first."""
    score: str
    """Name of the metric that is the score."""
    mode: Literal["min", "max"]
    """Whether a smaller or a larger score is better."""

    @property
    def sign(self) -> int:
        """The factor by which a score becomes one of which more is better, and back."""
        return 1 if self.mode == "max" else -1

    @cached_property
    def return_name(self) -> str:
        """The metric with the mean return; some tools log only the mean of 100 episodes."""
        return "return_mean" if self.table.has("return_mean") else "return_mean_100"

    @cached_property
    def returns(self) -> FloatArray:
        """The finite mean returns [at most R], oldest first."""
        return keep_finite(self.table.column(self.return_name))

    @cached_property
    def stage_start(self) -> int:
        """The row with which the current stage of a curriculum began; 0 in its first stage.

        A run that has come further has mastered a stage.
        """
        return self.table.find_last_change(STAGE)

    @cached_property
    def scores(self) -> FloatArray:
        """The score of each row [R], with the sign changed for ``min``: higher is better.

        NaN before the current stage of a curriculum: a fall to the scores of a harder task is none.
        Sizes above :data:`LARGEST` are cut to it.
        """
        scores = self.table.column(self.score)
        scores = np.where(np.isinf(scores), scores, np.clip(scores, -LARGEST, LARGEST))
        if depends_on_stage(self.score):
            scores = self._keep_stage(scores)
        return self.sign * scores

    def _keep_stage(self, values: FloatArray) -> FloatArray:
        """Return the values [R] with NaN before the current stage."""
        return np.where(np.arange(len(self.table)) < self.stage_start, np.nan, values)

    @property
    def known_scores(self) -> FloatArray:
        """The finite ones of :attr:`scores`."""
        return keep_finite(self.scores)

    @property
    def episodes_per_score(self) -> FloatArray:
        """Number of episodes [R] that each score is the mean of, NaN where not counted."""
        return self.table.column("episodes")

    @cached_property
    def improved(self) -> bool | None:
        """Whether the score has improved (:class:`Improvement`); None while it is too early.

        None, too, where the returns of the agents of a game cancel: the score is no measure.

        Where episodes are long, a row is the mean of one or two, whose noise hides a gain: then it
        may show in rows that are pooled (16 of 72 trials on LunarLander, some from -150 to 110).
        """
        key = (type(self), self.score, self.mode)
        return self.table.compute_once(key, self._judge_improvement)

    def _judge_improvement(self) -> bool | None:
        """Compute :attr:`improved` from the rows alone."""
        if self.cancels:
            return None
        rows = self.settled_rows
        episodes, scores = self.table.column("episodes")[rows], self._scores_with_time[rows]
        improved = self.improvement(scores, episodes)
        if improved is False and np.any(episodes < POOLED):
            _, means, counts = pool_scores(scores, np.nan_to_num(episodes), POOLED)
            return self.improvement(means, counts) is True
        return improved

    @property
    def improvement(self) -> Improvement:
        """The statistic of :attr:`improved`.

        First scores are biased because short episodes finish first. Where all episodes are of one
        length, the first score is a start like any other, and all that is left of one within the
        first 50 episodes: a run had risen from 208 to 360 in 40 of them.
        """
        return _EVEN if self.is_even else _UNEVEN

    @property
    def is_even(self) -> bool:
        """Whether all episodes are of the same length."""
        return is_constant(keep_finite(self.table.column("episode_length")))

    @cached_property
    def cancels(self) -> bool:
        """Whether score and mean return are constant although they are of returns that differ.

        What one agent of a game of zero sum wins, another one loses.
        """
        ranges = self.table.column("return_max") - self.table.column("return_min")
        spread = float(
            keep_finite(np.fmax(ranges, self.table.column("return_std"))).max(initial=0.0)
        )
        means = (self.returns, self.known_scores)
        # Rounding, of equal returns or of a mean that is zero, is no difference.
        size = max(float(np.abs(mean).max(initial=0.0)) for mean in means)
        constant = all(mean.size and np.ptp(mean) <= CONSTANT * spread for mean in means)
        return constant and spread > CONSTANT * size

    @property
    def _scores_with_time(self) -> FloatArray:
        """The scores [R]; minus the lengths of episodes where all have one positive return.

        A task that pays once, at its goal, returns the same however long the way was. Its
        discounted return rises as the way becomes shorter; a negative one as it becomes longer.
        """
        returns = keep_finite(self._keep_stage(self.table.column(self.return_name)))
        same = is_constant(returns) and is_constant(self.known_scores)
        if not same or not returns[-1] or not self.table.has("episode_length"):
            return self.scores
        return -math.copysign(1.0, returns[-1]) * self._keep_stage(
            self.table.column("episode_length")
        )

    @cached_property
    def had_learnt(self) -> bool:
        """Whether the score had improved at two checks in a row: a fallen policy may recover."""
        scores = self.score_rows.size
        ago = (scores * check // CHECKS for check in range(1, CHECKS))
        improved = [self.before_scores(count).improved for count in ago]
        return any(later and earlier for later, earlier in pairwise(improved))

    @property
    def independent_scores(self) -> FloatArray:
        """The known scores that share no episode."""
        return self.known_scores

    @cached_property
    def rising(self) -> bool:
        """Whether the score rises now (:func:`is_rising`), after a dip or a late start."""
        return is_rising(self.independent_scores)

    @cached_property
    def score_rows(self) -> IndexArray:
        """Indices [S] of the rows with a finite score; of all rows where none has one."""
        scored = np.flatnonzero(np.isfinite(self.scores))
        return scored if scored.size else np.arange(len(self.table))

    @cached_property
    def settled_rows(self) -> IndexArray:
        """:attr:`score_rows` from where the episodes are like later ones."""
        rows, names = self.score_rows, ("episode_length", "episodes", "env_steps")
        is_of_ended = self.score in ("return_mean", "return_mean_100")
        if not is_of_ended or not (self.table.has(names[0]) or self.table.has(names[1])):
            return rows
        return rows[
            count_unsettled(self.scores[rows], *(self.table.column(n)[rows] for n in names)) :
        ]

    def has_improved_lately(self, scores: int) -> bool:
        """Return whether the score had improved at any of the checks at the last scores."""
        return any(self.before_scores(ago).improved for ago in range(scores))

    def before_scores(self, scores: int) -> Progress:
        """Return the progress as it was just before the last ``scores`` scores.

        Rows without a score repeat the check before: agreeing on one score confirms nothing.
        """
        if not scores:
            return self
        exists = scores <= self.score_rows.size
        return replace(self, table=self.table[: int(self.score_rows[-scores]) if exists else 0])

    @cached_property
    def trend(self) -> float:
        """Kendall's tau of the score over the iterations: -1 falls, 1 rises at every row."""
        return kendall_tau(self.known_scores)
