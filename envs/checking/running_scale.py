"""Wrappers of Gymnasium that scale rewards or observations by a running estimate."""

from __future__ import annotations

from typing import Any

from gymnasium import wrappers
from gymnasium.wrappers import vector

SCALING = (
    wrappers.NormalizeReward,
    wrappers.NormalizeObservation,
    vector.NormalizeReward,
    vector.NormalizeObservation,
)
"""The wrappers, of single environments and of vector environments."""


def list_running_scales(env: Any) -> list[str]:
    """Return the names of such wrappers of a single or vector environment, the outermost first.

    Those whose estimate is held are left out.
    """
    layers: list[Any] = []
    while env is not None and not any(env is layer for layer in layers):
        layers.append(env)
        singles: Any = getattr(env, "envs", None)
        env = getattr(env, "env", None) or (singles[0] if singles else None)
    return [
        type(layer).__name__
        for layer in layers
        if isinstance(layer, SCALING) and layer.update_running_mean
    ]
