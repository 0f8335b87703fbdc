"""Rule ``policy_without_gradient``: advantages differ, and the policy does not hear of it."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, validate
from tune_jobs.health.finding import Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_most, increase, lower


@dataclasses.dataclass(frozen=True)
class PolicyWithoutGradient(Rule):
    """The gradient of the policy's term is exactly zero while the advantages vary.

    A policy that has become certain has no gradient either, by right once it has learnt: so the
    score must not have improved. Before that is known it warns. An entropy bonus can bring back a
    policy that is certain too early, so it is not among what ends a run early.

    Warm-up: ``rows`` rows. NaN policy: rows without the norm are left out.
    """

    symptom: ClassVar[str] = "policy_without_gradient"
    needs: ClassVar[tuple[str, ...]] = ("grad_norm_policy", "advantage_std")
    causes: ClassVar[tuple[str, ...]] = (
        "the log-probabilities in the loss are detached or those of the rollout",
        "the policy is certain of its actions, so that their probability is 1",
        "all ratios have left the clip range",
    )
    remedy: ClassVar[Remedy] = (
        "compute the log-probabilities from the network's output inside the loss",
        lower("lr", 1e-4, "if the policy is certain lower {}"),
        increase("entropy_coef", 0.03),
        at_most("epochs", 4, "if the clip is active everywhere lower {}"),
    )

    rows: Annotated[int, AtLeastOne] = 9
    """All of this many last iterations must be sick: three measurements, one in every four."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the recent norms are exactly zero and the advantages vary."""
        norms = history.recent("grad_norm_policy", self.rows)
        spread = history.recent("advantage_std", self.rows)
        if norms.size < self.rows or norms.any() or not spread.size or spread.min() <= 0:
            return None
        if history.improved:
            return None
        severity: Severity = "warn" if history.improved is None else "stop"
        return Finding(
            self.symptom,
            severity,
            history.find_onset(history.series("grad_norm_policy") == 0, self.rows),
            f"the policy's gradient is exactly zero in the last {self.rows} iterations while the "
            f"advantages have a standard deviation of {np.median(spread):.3g}",
        )
