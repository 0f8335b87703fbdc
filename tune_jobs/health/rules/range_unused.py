"""Rule ``range_unused``: the agent sets values, but only timid ones."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_least, increase, put


@dataclasses.dataclass(frozen=True)
class RangeUnused(Rule):
    """The values it sets use less than a third of the range they may have.

    The 30 % are those of the causal-optimising post-mortem. The best value may lie in the middle,
    so the score must not have improved, and it is a note until much of the budget is gone.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: rows without the share are left out.
    """

    symptom: ClassVar[str] = "range_unused"
    needs: ClassVar[tuple[str, ...]] = ("range_utilisation", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "a distribution that begins narrow around the middle and is not widened",
        "a penalty on large values",
        "a reward that does not depend on the value",
    )
    remedy: ClassVar[Remedy] = (
        increase("entropy_coef", 0.03),
        put("value_distribution", "bins", "draw from a grid: {}"),
        at_least("bins", 21),
        "see whether a larger value is paid at all",
    )

    used_fraction: Annotated[float, Fraction] = 0.3
    """Share of the range below which an iteration is sick."""
    rows: Annotated[int, AtLeastOne] = 10
    """The median of this many last iterations is judged."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""
    warn_from: Annotated[float, Fraction] = 0.4
    """Share of the budget from which it warns instead of noting."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when little of the range was used recently."""
        if (
            not history.is_warmed_up(self.rows, self.share_of_budget)
            or history.improved is not False
        ):
            return None
        shares = history.recent("range_utilisation", self.rows)
        if shares.size == 0 or np.median(shares) >= self.used_fraction:
            return None
        return Finding(
            self.symptom,
            "warn" if history.budget_fraction_used >= self.warn_from else "note",
            history.find_onset(history.series("range_utilisation") < self.used_fraction, self.rows),
            f"the values of the last {self.rows} iterations use {np.median(shares):.0%} of their "
            "range and the score has not improved",
        )
