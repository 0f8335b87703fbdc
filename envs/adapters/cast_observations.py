"""Observations in the type of their space, where batching copies would refuse to cast them."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces

UNSIGNED = "ub"
"""Kinds of numbers to which NumPy casts no signed integers by itself, whatever their values."""


def cast_observations(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Return an environment whose whole numbers have the type of their space.

    ``np.array([3, 255])`` is an int64, which no copy of ``Box(0, 255, (2,), np.uint8)`` could be
    batched with. Other types are cast where copies are batched.
    """
    return CastObservations(env) if _has_unsigned(env.observation_space) else env


def _has_unsigned(space: spaces.Space[Any]) -> bool:
    if isinstance(space, spaces.Dict):
        return any(map(_has_unsigned, space.spaces.values()))
    if isinstance(space, spaces.Tuple):
        return any(map(_has_unsigned, space.spaces))
    return isinstance(space, spaces.Box) and np.dtype(space.dtype).kind in UNSIGNED


def is_castable(array: np.ndarray[Any, Any], dtype: np.dtype[Any] | type[Any]) -> bool:
    """Return whether an array can be of another type without becoming something else.

    A float64 can be a float32 and 3 an uint8, but 0.5 can be no integer, -1 no uint8, 300 no int8.
    """
    # First: int64 counts as the same kind as int8, in which 300 is 44.
    if array.dtype.kind in "iub" and np.dtype(dtype).kind in "iub":
        return bool((array.astype(dtype) == array).all())
    return np.can_cast(array.dtype, dtype, "same_kind")


class CastObservations(gymnasium.ObservationWrapper[Any, Any, Any]):
    """An environment with the integers of its observations in the type of their space."""

    def observation(self, observation: object) -> Any:
        """Return the same observation, cast."""
        return _cast(self.observation_space, observation)


def _cast(space: spaces.Space[Any], observation: object) -> Any:
    if isinstance(space, spaces.Dict) and isinstance(observation, dict):
        parts = cast("dict[str, Any]", observation)
        return {
            n: _cast(space.spaces[n], part) if n in space.spaces else part
            for n, part in parts.items()
        }
    if isinstance(space, spaces.Tuple) and isinstance(observation, tuple):
        values = cast("tuple[Any, ...]", observation)
        return tuple(_cast(part, value) for part, value in zip(space.spaces, values, strict=True))
    if not isinstance(space, spaces.Box) or np.dtype(space.dtype).kind not in UNSIGNED:
        return observation
    array = np.asarray(observation)
    # Fractions stay what they are: batching them raises, as truncating them would hide a fault.
    return array.astype(space.dtype, copy=False) if array.dtype.kind in "iub" else observation
