"""Rule ``v_star_optimistic``: V* is higher than the return of nearly every episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, at_least, increase, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class VStarOptimistic(Rule):
    """Nearly all advantages over V* are negative: every action is discouraged alike.

    This happened in the shopping post-mortem. It is normal at the beginning, when the policy is
    still the reference whose best episodes defined V* (all of them, for ``v_star="max"``), and
    disappears as the policy learns; hence the warm-up and the condition on the score.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without the metric are left
    out.
    """

    symptom: ClassVar[str] = "v_star_optimistic"
    needs: ClassVar[tuple[str, ...]] = ("advantage_negative_fraction", "advantage_mean", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "V* is the best of a few lucky episodes",
        "the reference earned shaping rewards that the policy no longer gets",
        "V* was computed for another environment or reward",
    )
    remedy: ClassVar[Remedy] = (
        put("v_star", "softmax", "use {} with a higher `v_star_beta`, or `v_star=mean`"),
        increase("v_star_beta", 1),
        increase("reference_samples", 16),
        at_least("num_envs", 32, "for that raise {}"),
    )

    negative_fraction: Annotated[float, Fraction] = 0.95
    """Fraction of negative advantages above which an iteration is sick."""
    beyond: Annotated[float, Positive] = 10.0
    """Standard deviations below zero from which the evidence states how far V* is off."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations whose median is judged."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget that must be used before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when nearly all recent episodes had a return below V*."""
        negative = history.median("advantage_negative_fraction", self.rows)
        mean = history.median("advantage_mean", self.rows)
        # The mean is needed for the evidence, so without one there is no finding.
        if not negative > self.negative_fraction or np.isnan(mean):
            return None
        sick = history.series("advantage_negative_fraction") > self.negative_fraction
        return self.report(
            "warn",
            history.find_onset(sick, self.rows),
            f"{negative:.0%} of the episodes of the last {self.rows} iterations had a return below "
            f"V*, by {-mean:.3g} on average{self._describe_v_star(history, mean)}, and the score "
            "has not improved",
        )

    def _describe_v_star(self, history: History, mean: float) -> str:
        """Return V* where the returns are known, and its distance where that is extreme."""
        known = history.latest("return_mean")
        text = f" (returns {known:.3g}, V* {known - mean:.3g})" if np.isfinite(known) else ""
        spread = history.latest("advantage_std")
        if spread > 0 and -mean > self.beyond * spread:
            text += f", {-mean / spread:.3g} times the standard deviation of the advantages"
        return text
