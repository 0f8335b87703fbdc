"""Rule ``no_success``: the agent is rewarded but has never solved the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, increase, use
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class NoSuccess(Rule):
    """The success rate is zero in every iteration while rewards vary.

    In the shopping post-mortem shaping rewards were collected and nothing was bought. Where the
    rewards do not vary either, ``zero_reward`` is more specific. Success found late is normal
    (healthy runs on sparse tasks were flat for up to 41 % of their length), and an improving score
    may still lead there: then it only warns.

    Warm-up: ``episodes`` finished episodes and ``budget_fraction``. NaN policy: rows without the
    rate are left out.
    """

    symptom: ClassVar[str] = "no_success"
    needs: ClassVar[tuple[str, ...]] = ("success_rate", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "shaping rewards that pay more than the goal",
        "a goal that the present exploration does not reach",
        "success is never reported",
    )
    remedy: ClassVar[Remedy] = (
        "reduce all shaping rewards together to less than the reward of the goal",
        use(
            "warm_start",
            "begin with {} from a simple policy that succeeds, or with easier tasks",
            "begin with easier tasks",
        ),
        increase("entropy_coef", 0.03, "explore more: raise {}"),
    )

    episodes: Annotated[int, AtLeastOne] = 100
    """Finished episodes without a success before the rule judges."""
    budget_fraction: Annotated[float, Fraction] = 0.5
    """Fraction of the budget from which it warns."""
    stop_from: Annotated[float, Fraction] = 0.6
    """Fraction of the budget from which it asks for a stop, unless the score has improved."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when there has not been one success."""
        # Without any variation `zero_reward` and `constant_reward` are closer to the cause.
        if not _do_rewards_vary(history):
            return None
        rates = history.series("success_rate")
        known = np.isfinite(rates)
        if not known.any() or np.any(rates[known] > 0):
            return None
        # Only episodes of rows that report a rate: the others might have succeeded.
        counted = np.where(known, history.series("episodes"), 0.0)
        episodes = float(np.nansum(counted)) if history.has("episodes") else float(known.sum())
        if episodes < self.episodes:
            return None
        hopeless = history.improved is False and history.budget_fraction_used >= self.stop_from
        return self.report(
            "stop" if hopeless else "warn",
            history.iteration(0),
            f"none of {episodes:,.0f} episodes succeeded, although rewards vary",
        )


def _do_rewards_vary(history: History) -> bool:
    """Return whether rewards vary within iterations or between them."""
    spread = history.recent("reward_std", len(history))
    returns = history.recent(history.return_name, len(history))
    return bool(np.any(spread > 0)) or bool(returns.size and np.any(returns != returns[0]))
