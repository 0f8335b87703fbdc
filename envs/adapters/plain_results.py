"""Results of steps as copies are batched with them: numbers, flags, and observations that last."""

from __future__ import annotations

import copy
import numbers
from typing import Any

import gymnasium
import numpy as np


def read_flag(value: object) -> bool | None:
    """Return a flag, a 0 or 1, or that of an array of one element; None for anything else.

    >>> read_flag(np.array([True])), read_flag(0), read_flag(2), read_flag(None)
    (True, False, None, None)
    """
    value = _unpack(value)
    # NumPy's flags are registered as no numbers.
    is_flag = isinstance(value, np.bool_) or (
        isinstance(value, numbers.Integral) and value in (0, 1)
    )
    return bool(value) if is_flag else None


class PlainResults(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment whose rewards and ends may be arrays of one element, as ``[-1.5]``.

    It may reuse the arrays of its observations, too.
    """

    def step(self, action: object) -> Any:
        """Return the same results; a reward or an end that is an array as its only element."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            # Batches keep the final observation itself, and reset before they hand it over.
            observation = copy.deepcopy(observation)
        return observation, _unpack(reward), _unpack(terminated), _unpack(truncated), info


def _unpack(value: object) -> Any:
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
