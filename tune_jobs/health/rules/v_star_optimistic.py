"""Rule ``v_star_optimistic``: V* promises more than any episode keeps."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_least, increase, put


@dataclasses.dataclass(frozen=True)
class VStarOptimistic(Rule):
    """Nearly all advantages over V* are negative: whatever was done is discouraged alike.

    So it was in the shopping post-mortem. It is right at the beginning, when the policy is still
    the reference whose best episodes made V* (all of them, for ``v_star="max"``), and goes as the
    policy learns; hence only once the warm-up is over and the score has not improved.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: rows without the share are left out.
    """

    symptom: ClassVar[str] = "v_star_optimistic"
    needs: ClassVar[tuple[str, ...]] = ("advantage_negative_fraction", "advantage_mean", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "V* is the best of a few lucky episodes",
        "the reference earned shaping rewards that the policy no longer gets",
        "V* was kept from another environment or reward",
    )
    remedy: ClassVar[Remedy] = (
        put("v_star", "softmax", "use {} with a higher `v_star_beta`, or `v_star=mean`"),
        increase("v_star_beta", 1),
        increase("reference_samples", 16),
        at_least("num_envs", 32, "for that raise {}"),
    )

    negative_fraction: Annotated[float, Fraction] = 0.95
    """Share of negative advantages above which an iteration is sick (the design's "all")."""
    beyond: Annotated[float, Positive] = 10.0
    """Mean advantage below minus this many standard deviations, which says how far V* is off."""
    rows: Annotated[int, AtLeastOne] = 5
    """The median of this many last iterations is judged."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the recent episodes nearly all did worse than V*."""
        if (
            not history.is_warmed_up(self.rows, self.share_of_budget)
            or history.improved is not False
        ):
            return None
        shares = history.recent("advantage_negative_fraction", self.rows)
        means = history.recent("advantage_mean", self.rows)
        if shares.size == 0 or means.size == 0 or np.median(shares) <= self.negative_fraction:
            return None
        mean = float(np.median(means))
        return Finding(
            self.symptom,
            "warn",
            history.find_onset(
                history.series("advantage_negative_fraction") > self.negative_fraction, self.rows
            ),
            f"{np.median(shares):.0%} of the episodes of the last {self.rows} iterations did worse "
            f"than V*, by {-mean:.3g} on average{self._where(history, mean)}, and the score has "
            "not improved",
        )

    def _where(self, history: History, mean: float) -> str:
        """What is known of V* besides: its size, and whether it is out of all proportion."""
        known = history.latest("return_mean")
        seen = f" (returns {known:.3g}, V* {known - mean:.3g})" if np.isfinite(known) else ""
        spread = history.latest("advantage_std")
        if spread > 0 and -mean > self.beyond * spread:
            seen += f", {-mean / spread:.3g} times what episodes differ by"
        return seen
