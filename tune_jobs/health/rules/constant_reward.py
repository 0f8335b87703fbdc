"""Rule ``constant_reward``: every episode has the same return, whatever the agent does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.improvement import FloatArray
from tune_jobs.health.remedy import WARM_START, Remedy, increase
from tune_jobs.health.rule import Rule

FEWEST = 3
"""Returns that can be called constant, however short the budget."""


@dataclass(frozen=True)
class ConstantReward(Rule):
    """The mean return has been the same number since the first row.

    It needs only the return, so it also judges logs of other tools. A converged run is constant as
    well, but not from its first row on. A goal that is found late (healthy runs were flat for up to
    41 % of their length) looks the same until it is found: hence ``stop_from``. Where steps without
    reward are counted, ``zero_reward`` reports a return of zero.

    Warm-up: ``rows`` rows, ``episodes`` finished episodes (where they are counted) and
    ``budget_fraction``. NaN policy: rows without a return are left out.
    """

    symptom: ClassVar[str] = "constant_reward"
    needs: ClassVar[tuple[str, ...]] = (SCORE,)
    causes: ClassVar[tuple[str, ...]] = (
        "the goal is never reached, so that every episode runs to its time limit",
        "the reward does not depend on the actions",
        "the reward never reaches the agent",
    )
    remedy: ClassVar[Remedy] = (
        "play an episode by hand or with a simple policy and check whether its return differs",
        increase("entropy_coef", 0.03, "then explore more: raise {}"),
        WARM_START,
    )

    spread: Annotated[float, NonNegative] = 1e-6
    """Range of the returns, as a fraction of their size, up to which they count as one number."""
    rows: Annotated[int, AtLeastOne] = 10
    """Rows before the rule judges, at most half of the budget."""
    episodes: Annotated[int, NonNegative] = 50
    """Finished episodes before the rule judges."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget that must be used before the rule judges."""
    stop_from: Annotated[float, Fraction] = 0.6
    """Fraction of the budget from which it asks for a stop instead of a warning."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when no return has ever differed from the first."""
        # The whole run, not its end: a run that has converged at the cap of the task is constant as
        # well.
        returns = history.recent(history.return_name, len(history))
        episodes = np.nansum(history.series("episodes"))
        if returns.size < max(FEWEST, min(self.rows, len(history)) / 2) or (
            episodes < self.episodes and history.has("episodes")
        ):
            return None
        if not is_constant(returns, self.spread):
            return None
        # One fault, one finding: `zero_reward` knows more about a return of zero.
        if not returns.any() and history.has("zero_reward_fraction"):
            return None
        return self.report(
            "stop" if history.budget_fraction_used >= self.stop_from else "warn",
            history.iteration(0),
            f"{history.return_name} has been {returns[-1]:.6g} in all {returns.size} iterations",
        )


def is_constant(returns: FloatArray, spread: float = ConstantReward.spread) -> bool:
    """Return whether there are returns, and all are one number but for a fraction ``spread``."""
    return returns.size > 0 and bool(np.ptp(returns) <= spread * np.abs(returns).max())
