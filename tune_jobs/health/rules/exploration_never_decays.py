"""Rule ``exploration_never_decays``: nearly all actions are random until the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class ExplorationNeverDecays(Rule):
    """Late in the run an epsilon-greedy agent still draws nearly all of its actions at random.

    Every schedule starts at 1; those in use end between 0.01 and 0.1 after 10 to 50 % of the run.
    The logged return is then that of a random policy, so the score is ignored. Only logs of other
    tools contain the rate.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without the rate are left out.
    """

    symptom: ClassVar[str] = "exploration_never_decays"
    needs: ClassVar[tuple[str, ...]] = ("exploration_rate",)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "a final rate near 1",
        "a schedule for many more steps than the run has",
        "a schedule that is never advanced",
    )
    remedy: ClassVar[Remedy] = (
        "let the fraction of random actions fall to 0.05 within the first tenth to half of the run "
        "(in SB3 exploration_final_eps and exploration_fraction)",
    )

    rate: Annotated[float, Fraction] = 0.9
    """Fraction of random actions above which an iteration is sick."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations, all of which must be sick."""
    budget_fraction: Annotated[float, Fraction] = 0.6
    """Fraction of the budget that must be used before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when the recent rates are still close to 1."""
        rates = history.recent("exploration_rate", self.rows)
        # The largest rates are normal early on; hence the warm-up of 60 % of the budget.
        if rates.size == 0 or rates.min() <= self.rate:
            return None
        return self.report(
            "warn",
            history.find_onset(history.series("exploration_rate") > self.rate, self.rows),
            f"{np.median(rates):.0%} of the actions are drawn at random after {len(history)} "
            "iterations",
        )
