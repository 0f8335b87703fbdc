"""The unit in which rewards are learnt from, where they are normalised."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any


class RewardScale:
    """The root mean square of the returns of all episodes so far; part of every checkpoint.

    Of all runners together, so that a return means the same whoever collected it. A deviation would
    shrink to nothing once every episode is as good as the others, and blow all rewards up.
    """

    def __init__(self) -> None:
        self.episodes, self.squares = 0, 0.0

    def record_returns(self, returns: Iterable[float]) -> None:
        """Take the returns of finished episodes; broken ones are not counted."""
        for value in returns:
            if math.isfinite(value):
                self.episodes, self.squares = self.episodes + 1, self.squares + float(value) ** 2

    @property
    def unit(self) -> float:
        """What rewards are divided by; 1 before anything was earned."""
        return math.sqrt(self.squares / self.episodes) if self.squares else 1.0

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"episodes": self.episodes, "squares": self.squares}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Load the state of a checkpoint."""
        self.episodes, self.squares = state["episodes"], state["squares"]
