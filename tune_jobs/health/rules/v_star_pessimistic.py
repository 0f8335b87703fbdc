"""Rule ``v_star_pessimistic``: V* is so low that anything passes for better."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_least, increase, lower, put


@dataclasses.dataclass(frozen=True)
class VStarPessimistic(Rule):
    """Nearly no advantage over V* is negative, or all of them are next to zero.

    Then everything is encouraged alike, or nothing is. A policy that has become better than its
    reference is above V* by right, so the score must not have improved.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: rows without the share are left out.
    """

    symptom: ClassVar[str] = "v_star_pessimistic"
    needs: ClassVar[tuple[str, ...]] = ("advantage_negative_fraction", "advantage_mean", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "no episode of the reference ever succeeded, so that V* is the return of failing",
        "V* is the mean of the returns and not what is possible",
        "V* was kept from another environment or reward",
    )
    remedy: ClassVar[Remedy] = (
        "give the reference a chance to succeed: `warm_start` from a simple rule, or easier starts",
        increase("reference_samples", 16),
        at_least("num_envs", 32, "for that raise {}"),
        put("v_star", "softmax", "then use {}"),
        lower("v_star_beta", 0.5),
    )

    negative_fraction: Annotated[float, Fraction] = 0.05
    """Share of negative advantages below which an iteration is sick (none, with some slack)."""
    near_zero: Annotated[float, NonNegative] = 0.01
    """Size of mean and spread up to which advantages are zero, as a reward is in `zero_reward`."""
    rows: Annotated[int, AtLeastOne] = 5
    """All of this many last iterations must be sick."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when recently no episode, or none by anything that counts, was worse than V*."""
        if (
            not history.is_warmed_up(self.rows, self.share_of_budget)
            or history.improved is not False
        ):
            return None
        negative = history.series("advantage_negative_fraction")
        size = np.fmax(np.abs(history.series("advantage_mean")), history.series("advantage_std"))
        low, zero = negative < self.negative_fraction, size < self.near_zero
        known = np.isfinite(negative[-self.rows :])
        if not known.any() or not np.all((low | zero)[-self.rows :][known]):
            return None
        mean = history.latest("advantage_mean")
        what = (
            "differ from V* by next to nothing"
            if zero[-1]
            else f"beat V* (the last by {mean:.3g} on average)"
        )
        return Finding(
            self.symptom,
            "warn",
            history.find_onset(low | zero, self.rows),
            f"all episodes of the last {self.rows} iterations {what} and the score has not "
            "improved",
        )
