"""Whether an episode was a success, as an environment's last ``info`` says it."""

from __future__ import annotations

import math
import numbers

import numpy as np

SUCCESS_NAMES = ("is_success", "success")
"""Entries of ``info`` that say it: of Gymnasium's robots and SB3, and of most others."""


def read_number(value: object) -> float | None:
    """Return a number or flag, or that of an array of one element; None for anything else.

    >>> read_number(np.array([True])), read_number("goal"), read_number(None)
    (1.0, None, None)
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    # NumPy's flags are registered as no numbers.
    if not isinstance(value, numbers.Real | np.bool_):
        return None
    return None if math.isnan(number := float(value)) else number
