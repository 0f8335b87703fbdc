"""How far the results of an export are from those of its policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

TOLERANCE = 1e-5
"""Largest difference of a number (see `measure_difference`)."""


def measure_difference(
    names: Sequence[str],
    expected: Sequence[Any],
    actual: Sequence[Any],
    rounded: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure the largest difference of a number and count differing choices.

    Differences are relative to the largest number of their column where that is above 1. A tie
    between two actions may be broken either way; such rows count as different choices. So do
    those with other whole numbers. Where numbers were ``rounded`` to whole ones or to float16, the
    next one is no difference.
    """
    largest, differ = 0.0, np.zeros(len(expected[0]), bool)
    for name, wanted, got in zip(names, expected, actual, strict=True):
        # Choices, and whole numbers among what a policy remembers.
        if not np.issubdtype(wanted.dtype, np.floating):
            apart = wanted != got
            if name in rounded:
                gap = np.abs(wanted.astype(np.float64) - got)
                apart = gap > 1 + TOLERANCE * np.abs(wanted.astype(np.float64)).max(0)
            differ |= apart.reshape(len(wanted), -1).any(-1)
    for name, wanted, got in zip(names, expected, actual, strict=True):
        if np.issubdtype(wanted.dtype, np.floating):
            # The value part of an action depends on the choice: compare it on equal choices only.
            same = ~differ if name.startswith("action") else slice(None)
            with np.errstate(invalid="ignore"):  # of infinities
                # Per column and not per number: a value near 0 is the rounded sum of larger ones.
                scale = np.abs(wanted).max(0, initial=1.0, where=np.isfinite(wanted))
                gap = np.abs(wanted - got) / scale
            # Every comparison with NaN is false, so that max() would leave it out. The same number
            # that is not finite is no difference: a damaged policy is refused elsewhere.
            equal = (wanted == got) | (np.isnan(wanted) & np.isnan(got))
            step = np.finfo(wanted.dtype).eps
            if step > TOLERANCE:
                equal |= gap <= step
            gap = np.where(equal, 0.0, np.where(np.isnan(gap), np.inf, gap))
            largest = max(largest, float(gap[same].max(initial=0.0)))
    return {"largest": largest, "choices_differ": int(differ.sum()), "of": len(differ)}
