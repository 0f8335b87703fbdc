"""Rule ``gamma_too_low``: the discount hides most of an episode from its first steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, at_least
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class GammaTooLow(Rule):
    """Actions are credited with one or two steps of long episodes; the score has not improved.

    With a discount of gamma an action is credited with about the next 1 / (1 - gamma) steps: 100
    at 0.99. Where each step is a task by itself a discount of 0 is right, and then the run learns.

    Warm-up: ``rows`` rows. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "gamma_too_low"
    needs: ClassVar[tuple[str, ...]] = ("gamma", "episode_length", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "a discount written as 1 - gamma",
        "a discount left at zero from an experiment with single steps",
        "a search range that begins too low",
    )
    remedy: ClassVar[Remedy] = (at_least("gamma", 0.99),)

    gamma: Annotated[float, Fraction] = 0.5
    """Discount below which an action is credited with less than two steps."""
    length: Annotated[float, Positive] = 10.0
    """Median steps of an episode from which that is too few."""
    rows: Annotated[int, AtLeastOne] = 15
    """Rows before the rule judges, at most half of the budget."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when hardly more than the next reward counts."""
        gamma = history.latest("gamma")
        # In short episodes even a low discount covers most of the steps.
        length = history.median("episode_length", self.rows)
        if not (gamma < self.gamma and length >= self.length):
            return None
        return self.report(
            "warn",
            history.iteration(0),
            f"with a discount of {gamma:g} an action is credited with {1 / (1 - gamma):.2g} of the "
            f"{length:,.0f} steps of an episode, and the score has not improved",
        )
