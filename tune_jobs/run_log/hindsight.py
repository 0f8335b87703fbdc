"""Was it right to end a run? Judged by all its scores, once they are known."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

PART = 10
"""The means that are compared are over one in this many of a run's scores."""
RISE = 0.2
"""Fraction of the range of a run's scores beyond which a later gain makes its stop wrong."""


def rises_after(scores: ArrayLike, stop: int, mode: Literal["min", "max"] = "max") -> bool:
    """Return whether a run rose after a stop, so that the stop was wrong.

    It did where the mean of the last tenth of its scores is better than the mean of the tenth
    before the stop by more than a fifth of the range (largest less smallest) of all its scores.

    Rows without a finite score are left out first: both tenths and the range are of the others. A
    tenth is at least one score. So a constant run and one stopped after its last score did not
    rise, nor did one without any score. Of a run that was stopped before its first score, that
    score stands for what it had then.

    Args:
        scores: ``[R]``, a row each, of the whole run.
        stop: number of rows, 0 to R, that the run had when it was stopped.
        mode: whether a smaller or a larger score is better.
    """
    rows = np.asarray(scores, np.float64)
    known = np.isfinite(rows)
    if not known.any():
        return False
    r = rows[known]
    # Diverged runs log numbers near the end of the float range, whose differences overflow.
    r /= np.abs(r).max() or 1.0
    seen = max(1, int(np.count_nonzero(known[:stop])))
    tenth = max(1, r.size // PART)
    gain = float(r[-tenth:].mean() - r[max(0, seen - tenth) : seen].mean())
    return (gain if mode == "max" else -gain) > RISE * float(np.ptp(r))
