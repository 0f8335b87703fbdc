"""Episodes of several iterations as one sample."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pool_episodes(means: Array, deviations: Array, episodes: Array) -> tuple[float, float]:
    """Take the episodes of several rows for one sample.

    Args:
        means: of each row [R]; rows of which one of the three is not known are left out.
        deviations: standard deviation over the episodes of each row [R].
        episodes: number of each row [R].

    Returns:
        The mean over all episodes and its standard error; NaN of fewer than two.
    """
    usable = np.isfinite(means) & np.isfinite(deviations) & (episodes > 0)
    m, sd, n = means[usable], deviations[usable], episodes[usable]
    total = float(n.sum())
    if total < 2:
        return math.nan, math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(n @ m) / total
        squares = float(n @ (np.square(sd) + np.square(m - mean)))
    return mean, math.sqrt(squares / (total - 1) / total)
