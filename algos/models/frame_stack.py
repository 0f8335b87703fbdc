"""Stacks of the last observations, which a policy remembers for itself.

The stack belongs to the policy and not to the environment, so that every program that acts with
the policy has it: its state is a dict of columns that starts as zeros, as that of a recurrent
network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from gymnasium import spaces

from algos.actions.array_backend import Array, get_array_module

StateLayout: TypeAlias = dict[str, tuple[tuple[int, ...], Any]]
"""Name of each state column -> its shape without the axis of rows, and its type."""

FILLED = "state.filled"
"""State column [B]: whether there are earlier observations of this episode."""


class FrameStack:
    """Puts the last observations of each copy into an axis before those of one observation."""

    def __init__(self, columns: Mapping[str, spaces.Space[Any]], depth: int) -> None:
        """Stack the given columns.

        Args:
            columns: space of one observation of each column to be stacked.
            depth: observations in a stack, at least 2.
        """
        self.depth, self.names = depth, list(columns)
        self.layout: StateLayout = {FILLED: ((), np.bool_)} | {
            _to_state(name): ((depth - 1, *(space.shape or ())), space.dtype)
            for name, space in columns.items()
        }

    def push(
        self, observation: Mapping[str, Array], state: Mapping[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return the stacks [B, depth, ...], newest last, and the state of the next step.

        The first observation of an episode stands for those before it: zeros would be values that
        the environment never shows.
        """
        filled = state[FILLED]
        lib = get_array_module(filled)
        stacks, after = dict(observation), {FILLED: lib.ones_like(filled)}
        for name in self.names:
            newest = observation[name]
            is_filled = filled.reshape(-1, *(1,) * newest.ndim)
            repeated = lib.stack([newest] * (self.depth - 1), 1)
            earlier = lib.where(is_filled, state[_to_state(name)], repeated)
            stacks[name] = lib.concatenate([earlier, newest[:, None]], 1)
            after[_to_state(name)] = stacks[name][:, 1:]
        return stacks, after


def _to_state(name: str) -> str:
    return f"state.{name}"
