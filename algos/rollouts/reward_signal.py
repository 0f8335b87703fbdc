"""Reward signal: whether anything so far said that one action was better than another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

WITHOUT_SIGNAL = 0.25
"""Factor of advantages before there is a signal. With 1 one of six runs of Acrobot had become too
certain to learn in its budget; with 0 MountainCar, which is explored by following those errors, was
never solved."""


class RewardSignal:
    """The smallest and largest reward of all steps so far; part of every checkpoint.

    Before rewards have differed, advantages are nothing but the errors of the value function. They
    lead to states that it does not know yet, but normalising makes them as large as a signal, and
    the policy becomes certain of what it only guesses. That each step costs the same says nothing
    either, until an episode ends otherwise than at its time limit.
    """

    def __init__(self) -> None:
        self.smallest, self.largest, self.terminated = math.inf, -math.inf, False

    def record(self, smallest: float, largest: float, terminated: bool) -> None:
        """Add the extremes of a rollout's rewards, and whether an episode terminated in it."""
        self.smallest, self.largest = min(self.smallest, smallest), max(self.largest, largest)
        self.terminated |= terminated

    @property
    def found(self) -> bool:
        """Whether returns can have differed.

        >>> signal = RewardSignal()
        >>> signal.record(-1.0, -1.0, False)
        >>> signal.found
        False
        >>> signal.record(-1.0, -1.0, True)
        >>> signal.found
        True
        """
        differ = self.smallest < self.largest
        return differ or (self.terminated and self.largest != 0)

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return dict(vars(self))

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Load the state of a checkpoint."""
        vars(self).update(state)
