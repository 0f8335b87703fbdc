"""Reward scale: what rewards are divided by where they are normalised."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any


def rescale_values(factor: float, learner: Any, *_: object, **kwargs: object) -> None:
    """Fit a learner's averages of returns to returns that are now ``factor`` times as large.

    Else the first rollouts, whose rewards are not divided by anything yet, would make the
    deviation of all returns hundreds of times that of the later ones.
    """
    moments = learner._get_policy_network().return_moments
    if moments is not None:
        moments.rescale(factor)
    learner.coefficients = learner.objective.rescale_coefficients(learner.coefficients, factor)


class ReturnScale:
    """The root mean square of the returns of all episodes so far; part of every checkpoint.

    Of all runners together, so that a return means the same on each of them. A standard deviation
    would shrink to nothing once all episodes are equally good, and the rewards would explode.
    """

    def __init__(self) -> None:
        self.episodes, self.squares = 0, 0.0

    def record_returns(self, returns: Iterable[float]) -> None:
        """Add the returns of finished episodes; those that are not finite are left out."""
        for value in returns:
            if math.isfinite(value):
                self.episodes, self.squares = self.episodes + 1, self.squares + float(value) ** 2

    @property
    def unit(self) -> float:
        """The root mean square return; 1 before the first reward."""
        return math.sqrt(self.squares / self.episodes) if self.squares else 1.0

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"episodes": self.episodes, "squares": self.squares}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Load the state of a checkpoint."""
        self.episodes, self.squares = state["episodes"], state["squares"]
