"""Rule ``entropy_without_gradient``: the entropy bonus has a weight but no gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Between
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy, at_most
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class EntropyWithoutGradient(Rule):
    """The gradient of the entropy term is exactly zero although its coefficient is not.

    The edges post-mortem computed its entropy outside the autograd graph. A deterministic or
    uniform policy has no such gradient either: there ``entropy_collapse`` and ``frozen_policy``
    report the fault. A run whose score has improved gets a note: it learns without the bonus, but
    its coefficient has no effect.

    Warm-up: ``rows`` rows. NaN policy: rows without the norm are left out.
    """

    symptom: ClassVar[str] = "entropy_without_gradient"
    needs: ClassVar[tuple[str, ...]] = ("grad_norm_entropy", "entropy_coef")
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "the entropy is computed from detached probabilities or in numpy",
        "the entropy of the rollout is used instead of that of the new policy",
        "the standard deviation of the policy is fixed, so that its entropy is a constant",
    )
    remedy: ClassVar[Remedy] = (
        "compute the entropy from the network's output inside the loss, without `detach`",
        at_most("entropy_coef", 0, "if the standard deviation is fixed on purpose set {}"),
    )

    low: Annotated[float, Between(0, 1)] = 0.01
    """Normalised entropy (nats, where that is unknown) below which a policy is deterministic."""
    high: Annotated[float, Between(0, 1)] = 0.999
    """Normalised entropy above which a policy is uniform."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations, all of which must be sick: two measurements, one in every four."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when recent norms are exactly zero and the coefficients are not."""
        norms = history.recent("grad_norm_entropy", self.rows)
        weights = history.recent("entropy_coef", self.rows)
        # Exactly zero, no tolerance: a small gradient is a small effect, an exact zero a broken
        # graph.
        if norms.size < self.rows or norms.any() or not weights.size or weights.min() <= 0:
            return None
        if self._is_extreme(history):
            return None
        return self.report(
            "note" if history.improved else "warn",
            history.find_onset(history.series("grad_norm_entropy") == 0, self.rows),
            f"the entropy term's gradient is exactly zero in the last {self.rows} iterations with "
            f"a coefficient of {weights[-1]:.3g}",
        )

    def _is_extreme(self, history: History) -> bool:
        """Return whether the policy is deterministic or uniform."""
        if history.recent("entropy_normalised", self.rows).size:
            normalised = history.median("entropy_normalised", self.rows)
            return not self.low <= normalised <= self.high
        # With one legal action in each step the entropy is constant by the rules of the task.
        if history.latest("choice_step_fraction") == 0:
            return True  # a policy with one legal action in every step is deterministic, too
        # Nats have no known maximum here, so only the deterministic end can be recognised.
        return 0 <= history.median("entropy", self.rows) < self.low
