"""Plateau test for the ``patience`` of a job, with allowance for noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rungwise.health.improvement import (
    RISE_ROWS,
    FloatArray,
    Improvement,
    estimate_jump_sd,
    is_rising,
    kendall_tau,
    slide_mean,
)

NOISE = 2.0
"""Standard errors that a gain must exceed. The patience holds two means of different scores, so
noise alone passes for a gain in one patience of twenty, and the run continues for a while."""


@dataclass(frozen=True)
class Stagnation:
    """Since when a score has brought no gain."""

    iterations: int
    """Iterations since the best mean."""
    best: float
    """The best mean that no later one exceeds by more than noise and ``min_delta``."""
    best_at: int
    """Iteration of its last score."""
    latest: float
    """The latest mean."""
    averaged: int
    """Scores of a mean; 1 where each score is compared by itself."""


@dataclass(frozen=True)
class _Means:
    """Finite scores as the plateau test compares them."""

    scores: FloatArray
    """[R]: the finite scores, higher is better."""
    iterations: FloatArray
    """[R]: the iteration of each."""
    recent: int
    """Number of scores within the patience."""
    averaged: int
    """Number of scores of a mean."""
    values: FloatArray
    """[R - averaged + 1]: means of neighbouring scores; one belongs to its last score."""

    def allow(self, best: FloatArray | float, min_delta: float) -> FloatArray:
        """Return the largest gain over the best that is none."""
        # abs: a fraction of a negative best would reverse the limit.
        allowed = min_delta * np.abs(best)
        if self.averaged == 1:
            return allowed
        # A jump is a difference of two scores: it scatters like that of two means.
        error = estimate_jump_sd(self.scores[-self.recent :]) / math.sqrt(self.averaged)
        return np.maximum(allowed, NOISE * error)


def has_reached_plateau(
    scores: FloatArray, iterations: FloatArray, patience: int, min_delta: float
) -> bool:
    """Return whether ``patience`` iterations brought no gain.

    A score is partly luck: on a plateau one of them is occasionally a little better than all before
    it, and restarting the patience at each would prolong the run indefinitely. So means of
    neighbouring scores are compared instead, each over half of the patience: the best that ends
    within the patience with the best that ended before it. It is better if it is higher by more
    than ``min_delta`` of its size and by more than ``NOISE`` standard errors of the difference of
    two such means. The noise of one score is estimated from the jumps within the patience, which a
    steady gain does not enlarge. It is no plateau either while the scores of the patience tend
    upwards, as those of a slow run do before any mean exceeds the noise.

    With 20 scores a gain of 0.9 times their noise within a patience is detected by the means alone.
    Twice the patience detects a gain that is 2.8 times slower.

    Where the patience holds too few scores to estimate their noise (held-out ones, or those of long
    episodes) every score is compared by itself and ``min_delta`` alone decides, unless the last
    scores rise (:func:`is_rising`; those of twice the patience): the best may be a lucky one.

    Warm-up: the patience and the first mean. NaN policy: rows without a finite score are left out.

    Args:
        scores: [R], higher is better.
        iterations: [R], iteration of each score.
        patience: number of last iterations that must gain something.
        min_delta: smallest gain, as a fraction of the best score.
    """
    means = _compute_means(scores, iterations, patience)
    # At least one whole mean must end before the patience, or there is nothing to compare with.
    if means is None or means.values.size <= means.recent:
        return False
    # A mean belongs to its last score, so one that ends within the patience may begin before it.
    best = float(means.values[: -means.recent].max())
    lately = float(means.values[-means.recent :].max())
    if lately - best > means.allow(best, min_delta):
        return False
    if means.averaged > 1:
        return kendall_tau(means.scores[-means.recent :]) <= Improvement.tau
    # Only the last scores: a run that climbs for half of its budget and then stays where it is
    # rises as a whole until the budget is used up, so that its patience would never end it.
    return not is_rising(means.scores[-max(RISE_ROWS, 2 * means.recent) :])


def measure_stagnation(
    scores: FloatArray, iterations: FloatArray, patience: int, min_delta: float
) -> Stagnation | None:
    """Return since when the scores have brought no gain; None before two means are known.

    The count reaches the patience when :func:`has_reached_plateau` is true, or earlier than that
    where the scores still tend upwards. The arguments are the same.
    """
    means = _compute_means(scores, iterations, patience)
    if means is None or means.values.size < 2:
        return None
    ends = means.iterations[means.averaged - 1 :]
    before = np.maximum.accumulate(means.values)[:-1]
    later = np.maximum.accumulate(means.values[::-1])[::-1][1:]
    # The first mean after which none was better; of the last mean nothing is later.
    flat = np.append(later - before <= means.allow(before, min_delta), True)
    first = int(np.argmax(flat))
    best = int(np.argmax(means.values[: first + 1]))
    return Stagnation(
        iterations=int(ends[-1] - ends[first]),
        best=float(means.values[best]),
        best_at=int(ends[best]),
        latest=float(means.values[-1]),
        averaged=means.averaged,
    )


def _compute_means(scores: FloatArray, iterations: FloatArray, patience: int) -> _Means | None:
    """Return the means to compare; None without a score within the patience."""
    is_finite = np.isfinite(scores)
    r, at = scores[is_finite], iterations[is_finite]
    # The patience is in iterations, but a held-out score exists only for some of them.
    recent = int(np.count_nonzero(at > at[-1] - patience)) if at.size else 0
    if not recent:
        return None
    # Half of the patience for a mean: long enough to average out luck, and it fits twice.
    few = recent // 2 if recent >= Improvement.rows else 1
    means = slide_mean(r, few)
    return _Means(r, at, recent, few, means)
