"""Rule ``entropy_without_gradient``: the entropy bonus is paid for but pulls at nothing."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Between, validate
from tune_jobs.health.finding import Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_most


@dataclasses.dataclass(frozen=True)
class EntropyWithoutGradient(Rule):
    """The gradient of the entropy term is exactly zero although its coefficient is not.

    The edges post-mortem computed its entropy outside of the graph. A policy at either end of its
    entropy, certain or uniform, has no such gradient either: there ``entropy_collapse`` and
    ``frozen_policy`` say what is wrong. A run whose score has improved gets a note: it does
    without the bonus, but its coefficient does nothing.

    Warm-up: ``rows`` rows. NaN policy: rows without the norm are left out.
    """

    symptom: ClassVar[str] = "entropy_without_gradient"
    needs: ClassVar[tuple[str, ...]] = ("grad_norm_entropy", "entropy_coef")
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "the entropy is computed from detached probabilities or in numpy",
        "the entropy of the rollout is used instead of that of the new policy",
        "the policy's spread is fixed, so that its entropy is a constant",
    )
    remedy: ClassVar[Remedy] = (
        "compute the entropy from the network's output inside the loss, without `detach`",
        at_most("entropy_coef", 0, "if the spread is fixed on purpose set {}"),
    )

    low: Annotated[float, Between(0, 1)] = 0.01
    """Normalised entropy (nats, where that is unknown) below which the policy is certain."""
    high: Annotated[float, Between(0, 1)] = 0.999
    """Normalised entropy above which the policy is uniform."""
    rows: Annotated[int, AtLeastOne] = 5
    """All of this many last iterations must be sick: two measurements, one in every four."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the recent norms are exactly zero and the coefficients are not."""
        norms = history.recent("grad_norm_entropy", self.rows)
        weights = history.recent("entropy_coef", self.rows)
        if norms.size < self.rows or norms.any() or not weights.size or weights.min() <= 0:
            return None
        if self._at_an_end(history):
            return None
        return Finding(
            self.symptom,
            "note" if history.improved else "warn",
            history.find_onset(history.series("grad_norm_entropy") == 0, self.rows),
            f"the entropy term's gradient is exactly zero in the last {self.rows} iterations with "
            f"a coefficient of {weights[-1]:.3g}",
        )

    def _at_an_end(self, history: History) -> bool:
        normalised = history.recent("entropy_normalised", self.rows)
        if normalised.size:
            return not self.low <= float(np.median(normalised)) <= self.high
        if history.latest("choice_step_fraction") == 0:
            return True  # a policy whose every move is forced is certain, too
        nats = history.recent("entropy", self.rows)
        return bool(nats.size) and 0 <= float(np.median(nats)) < self.low
