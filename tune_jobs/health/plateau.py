"""Plateau test for the ``patience`` of a job, with allowance for noise."""

from __future__ import annotations

import math

import numpy as np

from tune_jobs.health.improvement import FloatArray, Rise, estimate_jump_sd, kendall_tau

FEWEST = 8
"""Number of scores from which their noise can be estimated, as in ``Improvement``."""
NOISE = 2.0
"""Standard errors that a gain must exceed. The patience holds two means of different scores, so
noise alone passes for a gain in one patience of twenty, and the run continues for a while."""
TREND = 0.2
"""Kendall's tau above which the score tends upwards, as in ``no_improvement``."""

_rises = Rise()


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

    Where the patience holds fewer than ``FEWEST`` scores (held-out ones, or those of long episodes)
    every score is compared by itself and ``min_delta`` alone decides, unless the last scores rise
    (:class:`Rise`; those of twice the patience, at least ten): the best may be a lucky one.

    Warm-up: the patience and the first mean. NaN policy: rows without a finite score are left out.

    Args:
        scores: [R], higher is better.
        iterations: [R], iteration of each score.
        patience: number of last iterations that must gain something.
        min_delta: smallest gain, as a fraction of the best score.
    """
    known = np.isfinite(scores)
    r, at = scores[known], iterations[known]
    # The patience is in iterations, but a held-out score exists only for some of them.
    recent = int(np.count_nonzero(at > at[-1] - patience)) if at.size else 0
    # Half of the patience for a mean: long enough to average out luck, and it fits twice.
    few = recent // 2 if recent >= FEWEST else 1
    # At least one whole mean must end before the patience, or there is nothing to compare with.
    if r.size < recent + few or not recent:
        return False
    means = np.lib.stride_tricks.sliding_window_view(r, few).mean(axis=1)
    # A mean belongs to its last score, so one that ends within the patience may begin before it.
    best, lately = float(means[:-recent].max()), float(means[-recent:].max())
    if few == 1:
        # abs, because scores may be negative: a fraction of a negative best would reverse the
        # limit.
        flat = lately - best <= min_delta * abs(best)
        # Not all scores: a run that climbs for half of its budget and then stays where it is rises
        # as a whole until the budget is used up, so that its patience would never end it.
        return flat and not _rises(r[-max(_rises.rows, 2 * recent) :])
    # A jump is the difference of two scores, so its scatter is that of the difference of two means.
    error = estimate_jump_sd(r[-recent:]) / math.sqrt(few)
    better = lately - best > max(min_delta * abs(best), NOISE * error)
    return not better and kendall_tau(r[-recent:]) <= TREND
