"""Was it right to end a run? Judged by all its scores, once they are known."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rungwise.health.improvement import FloatArray, estimate_row_noise, slide_mean

PART = 10
"""The means that are compared are over one in this many of a run's scores."""
RISE = 0.1
"""Fraction of the range of these means beyond which a later gain makes a stop wrong ..."""
NOISE = 1.64
"""... if it also exceeds this many standard errors, which noise alone does in 5 % of cases."""
Mode = Literal["min", "max"]


def rises_after(scores: ArrayLike, stop: int, mode: Mode = "max") -> bool:
    """Return whether a run rose after a stop, so that the stop was wrong.

    It did where the mean of the last tenth of its scores is better than the mean of the tenth
    before the stop, by more than a tenth of the range of all means of a tenth and by more than the
    noise of the two means. The range of single scores would hide a gain of a noisy run.

    Rows without a finite score are left out first. A tenth is at least one of the others. So a
    constant run, one stopped after its last score and one without any did not rise. The first score
    stands for what a run had that was stopped before it.

    Args:
        scores: ``[R]``, a row each, of the whole run.
        stop: number of rows, 0 to R, that the run had when it was stopped.
        mode: whether a smaller or a larger score is better.
    """
    r, rows_run = _keep_finite(scores, stop, mode)
    if r.size < 2:
        return False
    tenth = max(1, r.size // PART)
    means, before = slide_mean(r, tenth), r[max(0, rows_run - tenth) : rows_run]
    gain = float(means[-1] - before.mean())
    error = math.hypot(_estimate_error(r[-tenth:], r), _estimate_error(before, r))
    return gain > RISE * float(np.ptp(means)) and gain > NOISE * error


def is_best_at(scores: ArrayLike, stop: int, mode: Mode = "max") -> bool:
    """Return whether a run was never better than in the tenth of its scores before a stop.

    Not where it had been as good all the time. The arguments are those of :func:`rises_after`.
    """
    r, rows_run = _keep_finite(scores, stop, mode)
    if not r.size:
        return False
    means = slide_mean(r[:rows_run], min(rows_run, max(1, r.size // PART)))
    return bool(means[-1] >= means.max() > means.min())


def _estimate_error(part: FloatArray, r: FloatArray) -> float:
    """Return the standard error of the mean of a part of the scores ``r``; 0 of a single one.

    It is the larger of two: the scatter of the part, of which a single lucky score is most, and the
    jumps of the whole run.
    """
    if part.size < 2:
        return 0.0
    return max(float(part.std(ddof=1)), estimate_row_noise(r)) / math.sqrt(part.size)


def _keep_finite(scores: ArrayLike, stop: int, mode: Mode) -> tuple[FloatArray, int]:
    """Return the finite scores [at most R], higher is better, and how many came before the stop."""
    rows = np.asarray(scores, np.float64)
    is_finite = np.isfinite(rows)
    r = rows[is_finite] if mode == "max" else -rows[is_finite]
    # Diverged runs log numbers near the end of the float range, whose differences overflow.
    r /= np.abs(r).max(initial=0.0) or 1.0
    return r, max(1, int(np.count_nonzero(is_finite[:stop])))
