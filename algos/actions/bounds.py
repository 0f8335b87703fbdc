"""Which bounds of a Box mean something."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

LARGEST_BOUND = 1e9
"""Bounds at least as large stand for none: of half their range no policy could find the part that
matters, and the whole range of float32 overflows."""


def has_bounds(space: spaces.Box) -> bool:
    """Whether every value of a space lies between bounds that mean something."""
    limits = np.concatenate([space.low.ravel(), space.high.ravel()])
    return bool((np.abs(limits) < LARGEST_BOUND).all())
