"""Rule ``v_star_pessimistic``: V* is lower than the return of nearly every episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, at_least, increase, lower, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class VStarPessimistic(Rule):
    """Nearly no advantage over V* is negative, or all of them are close to zero.

    Then every action is encouraged alike, or none is. A policy that has become better than its
    reference is above V* as it should be, so the score must not have improved.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without the metric are left
    out.
    """

    symptom: ClassVar[str] = "v_star_pessimistic"
    needs: ClassVar[tuple[str, ...]] = ("advantage_negative_fraction", "advantage_mean", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "no episode of the reference ever succeeded, so that V* is the return of failing",
        "V* is the mean of the returns instead of the best possible return",
        "V* was computed for another environment or reward",
    )
    remedy: ClassVar[Remedy] = (
        "let the reference succeed: `warm_start` from a simple policy, or easier starts",
        increase("reference_samples", 16),
        at_least("num_envs", 32, "for that raise {}"),
        put("v_star", "softmax", "then use {}"),
        lower("v_star_beta", 0.5),
    )

    negative_fraction: Annotated[float, Fraction] = 0.05
    """Fraction of negative advantages below which an iteration is sick."""
    near_zero: Annotated[float, NonNegative] = 0.01
    """Size of mean and standard deviation below which advantages count as zero."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations, all of which must be sick."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget that must be used before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when recently no episode was clearly worse than V*."""
        negative = history.series("advantage_negative_fraction")
        # fmax ignores NaN: where only one of the two is logged, that one decides.
        size = np.fmax(np.abs(history.series("advantage_mean")), history.series("advantage_std"))
        low, zero = negative < self.negative_fraction, size < self.near_zero
        known = np.isfinite(negative[-self.rows :])
        if not known.any() or not np.all((low | zero)[-self.rows :][known]):
            return None
        mean = history.latest("advantage_mean")
        what = (
            "differ from V* by almost nothing"
            if zero[-1]
            else f"beat V* (the last by {mean:.3g} on average)"
        )
        return self.report(
            "warn",
            history.find_onset(low | zero, self.rows),
            f"all episodes of the last {self.rows} iterations {what} and the score has not "
            "improved",
        )
