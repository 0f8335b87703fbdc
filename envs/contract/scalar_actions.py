"""Single values of an action in the form in which ``action_space.sample()`` has them: arrays."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


def restore_scalars(space: spaces.Space[Any], action: Any) -> Any:
    """Return one action with an array for each ``Box`` without axes.

    A row of a batch ``[B]`` is a NumPy scalar, of which Gymnasium warns that it is no array.
    """
    if isinstance(space, spaces.Dict):
        return {name: restore_scalars(part, action[name]) for name, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(map(restore_scalars, space, action))
    return np.asarray(action) if isinstance(space, spaces.Box) else action


def has_scalars(space: spaces.Space[Any]) -> bool:
    """Return whether a part of an action is a ``Box`` without axes."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.values() if isinstance(space, spaces.Dict) else space
        return any(map(has_scalars, parts))
    return isinstance(space, spaces.Box) and space.shape == ()


class ScalarActions(gymnasium.ActionWrapper[Any, Any, Any]):
    """An environment that gets such values as arrays."""

    def action(self, action: object) -> Any:
        """Return the same action, with arrays."""
        return restore_scalars(self.action_space, action)
