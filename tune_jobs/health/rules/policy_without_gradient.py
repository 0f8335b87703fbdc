"""Rule ``policy_without_gradient``: advantages differ but the policy gets no gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy, at_most, increase, lower
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class PolicyWithoutGradient(Rule):
    """The gradient of the policy loss is exactly zero while the advantages vary.

    A policy that has become deterministic has no gradient either, which is fine once it has learnt:
    so the score must not have improved. Before the score can be judged the rule warns. An entropy
    bonus can revive a policy that became deterministic too early, so no run is stopped for this
    early in its budget.

    Warm-up: ``rows`` rows. NaN policy: rows without the norm are left out.
    """

    symptom: ClassVar[str] = "policy_without_gradient"
    needs: ClassVar[tuple[str, ...]] = ("grad_norm_policy", "advantage_std")
    causes: ClassVar[tuple[str, ...]] = (
        "the log-probabilities in the loss are detached or those of the rollout",
        "the policy is deterministic, so that the probability of its actions is 1",
        "all ratios have left the clip range",
    )
    remedy: ClassVar[Remedy] = (
        "compute the log-probabilities from the network's output inside the loss",
        lower("lr", 1e-4, "if the policy is deterministic lower {}"),
        increase("entropy_coef", 0.03),
        at_most("epochs", 4, "if all ratios are clipped lower {}"),
    )

    rows: Annotated[int, AtLeastOne] = 9
    """Number of last iterations, all of which must be sick: three measurements, one in four."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when recent norms are exactly zero and the advantages vary."""
        norms = history.recent("grad_norm_policy", self.rows)
        spread = history.recent("advantage_std", self.rows)
        # Advantages that are all equal (after normalisation zero) leave no gradient in a correct
        # loss.
        if norms.size < self.rows or norms.any() or not spread.size or spread.min() <= 0:
            return None
        if history.improved:
            return None
        return self.report(
            "warn" if history.improved is None else "stop",
            history.find_onset(history.series("grad_norm_policy") == 0, self.rows),
            f"the policy's gradient is exactly zero in the last {self.rows} iterations while the "
            f"advantages have a standard deviation of {np.median(spread):.3g}",
        )
