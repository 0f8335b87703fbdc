"""Rule ``constant_reward``: every episode earns the same, whatever is done."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule
from tune_jobs.health.remedy import Remedy, increase


@dataclasses.dataclass(frozen=True)
class ConstantReward(Rule):
    """The mean return has been one and the same number since the first row.

    It needs nothing but the return, so it also judges logs of others. A run that has converged is
    constant as well, but not from its first row on. A goal that is found late (healthy runs were
    flat for up to 41 % of their length) cannot be told apart before: hence ``stop_from``. Where
    steps without reward are counted, ``zero_reward`` speaks for a return of zero.

    Warm-up: ``rows`` rows, ``episodes`` finished episodes (where they are counted) and
    ``share_of_budget``. NaN policy: rows without a return are left out.
    """

    symptom: ClassVar[str] = "constant_reward"
    needs: ClassVar[tuple[str, ...]] = (SCORE,)
    causes: ClassVar[tuple[str, ...]] = (
        "the goal is never reached, so that every episode earns its time limit's worth",
        "the reward does not depend on what is done",
        "the reward never arrives",
    )
    remedy: ClassVar[Remedy] = (
        "play an episode by hand or by a simple rule and see whether its return differs",
        increase("entropy_coef", 0.03, "then explore more: raise {}"),
        "begin with `warm_start`, or shape the reward",
    )

    spread: Annotated[float, NonNegative] = 1e-6
    """Largest minus smallest return, as a share of their size, up to which they are one number."""
    rows: Annotated[int, AtLeastOne] = 10
    """Rows before it judges (or half of the budget, if that is less)."""
    episodes: Annotated[int, NonNegative] = 50
    """Finished episodes before it judges."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""
    stop_from: Annotated[float, Fraction] = 0.6
    """Share of the budget from which it asks for a stop instead of a warning."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when no return has ever differed from the first."""
        if not history.is_warmed_up(self.rows, self.share_of_budget):
            return None
        name = "return_mean" if history.has("return_mean") else "return_mean_100"
        returns = history.recent(name, len(history))
        finished = np.nansum(history.series("episodes"))
        if returns.size < min(self.rows, len(history)) / 2 or (
            finished < self.episodes and history.has("episodes")
        ):
            return None
        if np.ptp(returns) > self.spread * np.abs(returns).max():
            return None
        if not returns.any() and history.has("zero_reward_fraction"):
            return None
        return Finding(
            self.symptom,
            "stop" if history.budget_fraction_used >= self.stop_from else "warn",
            history.iteration(0),
            f"{name} has been {returns[-1]:.6g} in all {returns.size} iterations",
        )
