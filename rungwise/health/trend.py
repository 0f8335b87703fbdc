"""The trend of a score, and what it may still bring."""

from __future__ import annotations

import math
from typing import NamedTuple

from rungwise.health.improvement import FloatArray, fit_line, root_sum_of_squares

MOST_ALIKE = 0.95
"""Autocorrelation of neighbouring rows that is taken into account at most."""


class Trend(NamedTuple):
    """A straight line through scores."""

    slope: float
    """Gain from one score to the next."""
    error: float
    """Standard error of the slope."""
    noise: float
    """Standard deviation of one score around the line."""


def fit_trend(scores: FloatArray) -> Trend:
    """Fit a line to scores [R]; to fewer than three one of which nothing is known.

    Neighbouring scores of a run resemble each other, so that its error is larger than that of as
    many independent ones: by the autocorrelation a of the residuals, as if there were only
    (1 - a) / (1 + a) of them (Bartlett 1946).
    """
    if scores.size < 3:
        return Trend(0.0, math.inf, math.inf)
    slope, residuals = fit_line(scores)
    size = root_sum_of_squares(residuals)
    noise = size / math.sqrt(scores.size - 2)
    scaled = residuals / (size or 1.0)
    alike = min(max(float(scaled[1:] @ scaled[:-1]), 0.0), MOST_ALIKE)
    spread = math.sqrt((scores.size**3 - scores.size) / 12 * ((1 - alike) / (1 + alike)))
    return Trend(slope, noise / spread, noise)
