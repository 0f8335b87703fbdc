"""Rule ``head_starves``: the policy's head gets next to no gradient compared with its backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, increase, lower
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class HeadStarves(Rule):
    """The gradient of the policy's head is a tiny fraction of that of its backbone.

    What the policy's outputs learn passes through the head, so a backbone with a much larger
    gradient is trained by another part of the loss, usually the value error. Only networks that
    share the backbone between policy and value can starve like this. Advantages that are all equal
    leave no gradient in a correct loss, so they are left to other rules.

    Warm-up: ``rows`` rows. NaN policy: rows without the norms are left out.
    """

    symptom: ClassVar[str] = "head_starves"
    needs: ClassVar[tuple[str, ...]] = ("grad_norm_head", "grad_norm_backbone", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "the value error or another auxiliary loss dominates the shared layers",
        "the policy is close to deterministic, so that its outputs get no gradient",
        "the head's outputs are masked, detached or cut off before they become an action",
    )
    remedy: ClassVar[Remedy] = (
        SCALED_REWARDS,
        lower("value_coef", 0.1),
        increase("entropy_coef", 0.03, "if the policy is close to deterministic raise {}"),
        "check that the head's outputs reach the action",
    )

    ratio: Annotated[float, Fraction] = 1e-3
    """Gradient norm of the head over that of the backbone below which an iteration is sick."""
    rows: Annotated[int, AtLeastOne] = 9
    """Number of last iterations, all of which must be sick: three measurements, one in four."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the head's share of the gradient was tiny in all recent rows."""
        head = history.recent("grad_norm_head", self.rows)
        backbone = history.recent("grad_norm_backbone", self.rows)
        spread = history.recent("advantage_std", self.rows)
        if min(head.size, backbone.size) < self.rows or (spread.size and spread.min() <= 0):
            return None
        # A gradient of zero in both is no starved head: nothing is trained.
        if not np.all(head < self.ratio * backbone):
            return None
        sick = history.series("grad_norm_head") < self.ratio * history.series("grad_norm_backbone")
        share = float(np.median(head / backbone))
        return self.report(
            "warn",
            history.find_onset(sick, self.rows),
            f"the gradient norm of the policy's head was {share:.1g} times that of its backbone in "
            f"the last {self.rows} iterations and the score has not improved",
        )
