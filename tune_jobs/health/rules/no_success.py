"""Rule ``no_success``: rewards come in, and the task was never solved once."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, increase


@dataclasses.dataclass(frozen=True)
class NoSuccess(Rule):
    """The success rate is zero in every iteration while rewards move.

    In the shopping post-mortem shaping rewards were collected and nothing was bought. Where the
    rewards do not move either ``zero_reward`` says more. Success found late is normal (healthy
    runs on sparse tasks were flat for up to 41 % of their length), and a score that rises may
    still lead there: then it only warns.

    Warm-up: ``episodes`` finished episodes and ``warn_from`` of the budget. NaN policy: rows
    without the rate are left out.
    """

    symptom: ClassVar[str] = "no_success"
    needs: ClassVar[tuple[str, ...]] = ("success_rate", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "shaping rewards that pay more than the goal",
        "a goal too far for the exploration there is",
        "success is never reported",
    )
    remedy: ClassVar[Remedy] = (
        "cut shaping rewards down to less than the goal's in all",
        "begin with `warm_start` from a simple rule that succeeds, or with easier tasks",
        increase("entropy_coef", 0.03, "explore more: raise {}"),
    )

    episodes: Annotated[int, AtLeastOne] = 100
    """Finished episodes without a success before it judges."""
    warn_from: Annotated[float, Fraction] = 0.5
    """Share of the budget from which it warns."""
    stop_from: Annotated[float, Fraction] = 0.6
    """Share of the budget from which it asks for a stop, unless the score has improved."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when there has not been one success."""
        if history.budget_fraction_used < self.warn_from or not _moves(history):
            return None
        rates = history.series("success_rate")
        known = np.isfinite(rates)
        if not known.any() or np.any(rates[known] > 0):
            return None
        counted = np.where(known, history.series("episodes"), 0.0)
        episodes = float(np.nansum(counted)) if history.has("episodes") else float(known.sum())
        if episodes < self.episodes:
            return None
        lost = history.improved is False and history.budget_fraction_used >= self.stop_from
        severity: Severity = "stop" if lost else "warn"
        return Finding(
            self.symptom,
            severity,
            history.iteration(0),
            f"not one of {episodes:,.0f} episodes succeeded, though rewards differ",
        )


def _moves(history: History) -> bool:
    """Whether rewards differ within iterations or between them."""
    spread = history.recent("reward_std", len(history))
    name = "return_mean" if history.has("return_mean") else "return_mean_100"
    returns = history.recent(name, len(history))
    return bool(np.any(spread > 0)) or bool(returns.size and np.any(returns != returns[0]))
