"""Rule ``range_unused``: the action values use only a small part of their range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, at_least, increase, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class RangeUnused(Rule):
    """The values that the agent sets use less than a third of their range.

    The limit of 30 % is from the causal-optimising post-mortem. The best value may lie in the
    middle, so the score must not have improved, and the finding is a note until ``warn_from`` of
    the budget is used.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without the metric are left
    out.
    """

    symptom: ClassVar[str] = "range_unused"
    needs: ClassVar[tuple[str, ...]] = ("range_utilisation", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "a distribution that starts narrow around the middle and is not widened",
        "a penalty on large values",
        "a reward that does not depend on the value",
    )
    remedy: ClassVar[Remedy] = (
        increase("entropy_coef", 0.03),
        put("value_distribution", "bins", "draw from a grid: {}"),
        at_least("bins", 21),
        "check whether larger values are rewarded at all",
    )

    used_fraction: Annotated[float, Fraction] = 0.3
    """Fraction of the range below which an iteration is sick."""
    rows: Annotated[int, AtLeastOne] = 10
    """Number of last iterations whose median is judged."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget that must be used before the rule judges."""
    warn_from: Annotated[float, Fraction] = 0.4
    """Fraction of the budget from which it warns instead of noting."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the recent values used little of the range."""
        used = history.median("range_utilisation", self.rows)
        # A narrow range is right where the optimum is inside it, hence the conditions on the score.
        if not used < self.used_fraction:
            return None
        return self.report(
            "warn" if history.budget_fraction_used >= self.warn_from else "note",
            history.find_onset(history.series("range_utilisation") < self.used_fraction, self.rows),
            f"the values of the last {self.rows} iterations use {used:.0%} of their range and the "
            "score has not improved",
        )
