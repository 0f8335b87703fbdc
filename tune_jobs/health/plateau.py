"""Has a run got as far as it will? What a job's ``patience`` asks, judged beyond luck."""

from __future__ import annotations

import math

import numpy as np

from tune_jobs.health.improvement import FloatArray, Rise, estimate_jump_sd, kendall_tau

FEWEST = 8
"""Scores from which their scatter is known, as many as ``Improvement`` waits for."""
NOISE = 2.0
"""Standard errors that a gain must be larger than. The patience holds two means of different
scores, so in one patience of twenty luck alone is taken for a gain, and the run goes on a while."""
TREND = 0.2
"""Kendall's tau above which the score tends upwards, as in ``no_improvement``."""

_rises = Rise()


def has_reached_plateau(
    scores: FloatArray, iterations: FloatArray, patience: int, min_delta: float
) -> bool:
    """scores [R] (higher is better), iterations [R] -> whether ``patience`` of them gained nothing.

    A score is partly luck: on a plateau one of them is again and again a little better than all
    before it, and a patience that it begins anew goes on for as long as luck has it. So not single
    scores are compared but means of as many in a row as half of the patience holds: the best that
    ends within the patience with the best that ended before it. It is better if it is so by more
    than ``min_delta`` of its size and by more than ``NOISE`` standard errors of the difference of
    two such means. The scatter of one score comes from the jumps within the patience, which a
    steady gain does not enlarge. Nor is it a plateau while the scores of the patience tend upwards,
    as those of a slow run do before any mean has left the noise.

    With 20 scores a gain of 0.9 times their scatter in a patience is seen, by the means alone.
    Noisy scores want more patience: twice as much tells a gain 2.8 times as slow.

    Where the patience holds fewer than ``FEWEST`` scores (held-out ones, or those of long episodes)
    every score stands for itself and ``min_delta`` alone decides, unless the scores rise
    (:class:`Rise`): the best may be one of few lucky episodes.

    Warm-up: the patience and the first mean. NaN policy: rows without a finite score are left out.
    """
    known = np.isfinite(scores)
    r, at = scores[known], iterations[known]
    recent = int(np.count_nonzero(at > at[-1] - patience)) if at.size else 0
    few = recent // 2 if recent >= FEWEST else 1
    if r.size < recent + few or not recent:
        return False
    means = np.lib.stride_tricks.sliding_window_view(r, few).mean(axis=1)
    best, lately = float(means[:-recent].max()), float(means[-recent:].max())
    if few == 1:
        return lately - best <= min_delta * abs(best) and not _rises(r)
    # A jump is the difference of two scores, so its scatter is that of the difference of two means.
    error = estimate_jump_sd(r[-recent:]) / math.sqrt(few)
    better = lately - best > max(min_delta * abs(best), NOISE * error)
    return not better and kendall_tau(r[-recent:]) <= TREND
