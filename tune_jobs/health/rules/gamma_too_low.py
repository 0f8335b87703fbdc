"""Rule ``gamma_too_low``: the discount hides nearly all of an episode from its first steps."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_least


@dataclasses.dataclass(frozen=True)
class GammaTooLow(Rule):
    """An action is credited with a step or two of long episodes, and the score has not improved.

    With a discount of gamma an action answers for the next 1 / (1 - gamma) steps, more or less: 100
    at 0.99. Where each step is a task of its own a discount of 0 is right, and then it learns.

    Warm-up: ``rows`` rows. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "gamma_too_low"
    needs: ClassVar[tuple[str, ...]] = ("gamma", "episode_length", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "a discount written as 1 - gamma",
        "a discount left at zero from an experiment with single steps",
        "a range of the search that begins too low",
    )
    remedy: ClassVar[Remedy] = (at_least("gamma", 0.99),)

    gamma: Annotated[float, Fraction] = 0.5
    """Discount below which an action answers for less than two steps."""
    length: Annotated[float, Positive] = 10.0
    """Steps of an episode from which that is too few."""
    rows: Annotated[int, AtLeastOne] = 15
    """Rows before it judges (or half of the budget, if that is less)."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when hardly anything counts but the next reward, in vain."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved is not False:
            return None
        gamma = history.latest("gamma")
        lengths = history.recent("episode_length", self.rows)
        if gamma >= self.gamma or lengths.size == 0 or np.median(lengths) < self.length:
            return None
        return Finding(
            self.symptom,
            "warn",
            history.iteration(0),
            f"with a discount of {gamma:g} an action answers for {1 / (1 - gamma):.2g} of the "
            f"{np.median(lengths):,.0f} steps of an episode, and the score has not improved",
        )
