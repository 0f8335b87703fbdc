"""Rules for gradients that are zero, or always clipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from rungwise.health.finding import Severity
from rungwise.health.history import SCORE, History
from rungwise.health.remedy import SCALED_REWARDS, Remedy, at_least, at_most, increase, lower, put
from rungwise.health.threshold_rule import ByImprovement, ThresholdRule
from rungwise.validation import AtLeastOne, Between, Fraction, Positive


@dataclass(frozen=True)
class PolicyWithoutGradient(ThresholdRule):
    """The gradient of the policy loss is exactly zero while the advantages vary.

    A policy that has become deterministic has no gradient either, which is fine once it has learnt:
    so the score must not have improved. Before the score can be judged the rule warns. An entropy
    bonus can revive a policy that became deterministic too early, so no run is stopped for this
    early in its budget.
    """

    symptom = "policy_without_gradient"
    title = "Advantages differ but the policy gets no gradient"
    needs = ("grad_norm_policy", "advantage_std")
    causes = (
        "the log-probabilities in the loss are detached or those of the rollout",
        "the policy is deterministic, so that the probability of its actions is 1",
        "all ratios have left the clip range",
    )
    remedy = (
        "compute the log-probabilities from the network's output inside the loss",
        lower("lr", 1e-4, "if the policy is deterministic lower {}"),
        increase("entropy_coef", 0.03),
        at_most("epochs", 4, "if all ratios are clipped lower {}"),
    )
    statistic, is_complete = "every", True
    comparison, threshold = "==", 0
    # Advantages that are all equal (after normalisation zero) leave no gradient in a correct loss.
    while_positive = "advantage_std"
    by_improvement = ByImprovement(None, "warn", "stop")
    sentence = (
        "the policy's gradient is exactly zero in the last {rows} iterations while the advantages "
        "have a standard deviation of {positive:.3g}"
    )

    rows: Annotated[int, AtLeastOne] = 9
    """Number of last iterations, all of which must be sick: three measurements, one in four."""


@dataclass(frozen=True)
class EntropyWithoutGradient(ThresholdRule):
    """The gradient of the entropy term is exactly zero although its coefficient is not.

    The edges post-mortem computed its entropy outside the autograd graph. A deterministic or
    uniform policy has no such gradient either: there ``entropy_collapse`` and ``frozen_policy``
    report the fault. A run whose score has improved gets a note: it learns without the bonus, but
    its coefficient has no effect.
    """

    symptom = "entropy_without_gradient"
    title = "The entropy bonus has a weight but no gradient"
    needs = ("grad_norm_entropy", "entropy_coef")
    highest = "warn"
    causes = (
        "the entropy is computed from detached probabilities or in numpy",
        "the entropy of the rollout is used instead of that of the new policy",
        "the standard deviation of the policy is fixed, so that its entropy is a constant",
    )
    remedy = (
        "compute the entropy from the network's output inside the loss, without `detach`",
        at_most("entropy_coef", 0, "if the standard deviation is fixed on purpose set {}"),
    )
    statistic, is_complete = "every", True
    # No tolerance: a small gradient is a small effect, an exact zero a broken graph.
    comparison, threshold = "==", 0
    while_positive = "entropy_coef"
    by_improvement = ByImprovement("note", "warn", "warn")
    sentence = (
        "the entropy term's gradient is exactly zero in the last {rows} iterations with a "
        "coefficient of {coefficient:.3g}"
    )

    low: Annotated[float, Between(0, 1)] = 0.01
    """Normalised entropy (nats, where that is unknown) below which a policy is deterministic."""
    high: Annotated[float, Between(0, 1)] = 0.999
    """Normalised entropy above which a policy is uniform."""

    def describe(self, history: History) -> Mapping[str, object]:
        """Return the latest coefficient, which a schedule may have changed."""
        return {"coefficient": history.recent("entropy_coef", self.rows)[-1]}

    def is_excused(self, history: History) -> bool:
        """Return whether the policy is deterministic or uniform."""
        if history.recent("entropy_normalised", self.rows).size:
            normalised = history.median("entropy_normalised", self.rows)
            return not self.low <= normalised <= self.high
        # With one legal action in each step the entropy is constant by the rules of the task.
        if history.latest("choice_step_fraction") == 0:
            return True  # a policy with one legal action in every step is deterministic, too
        # Nats have no known maximum here, so only the deterministic end can be recognised.
        return 0 <= history.median("entropy", self.rows) < self.low


@dataclass(frozen=True)
class ValueWithoutGradient(ThresholdRule):
    """The gradient of the value loss is exactly zero although there is an error.

    The same fault as ``entropy_without_gradient``, at the value head. Where the error itself is
    zero (no reward yet, so all returns are zero) there is nothing to learn. A run whose score has
    improved gets a note: a policy can learn without a critic.
    """

    symptom = "value_without_gradient"
    title = "The value function has an error but no gradient"
    needs = ("grad_norm_value", "value_loss")
    highest = "warn"
    causes = (
        "the values in the loss are those of the rollout, or detached",
        "a weight of the value loss of zero",
        "all values are clipped by the value clip",
        "all units of the value function's layers are dead",
    )
    remedy = (
        "compute the values from the network's output inside the loss",
        at_least("value_coef", 0.5),
        "switch off a clip of the value error",
        put("activation", "tanh"),
    )
    statistic, is_complete = "every", True
    comparison, threshold = "==", 0
    # An error of zero in one row is enough to stay silent: there was nothing to learn.
    while_positive = "value_loss"
    by_improvement = ByImprovement("note", "warn", "warn")
    sentence = (
        "the gradient of the value loss is exactly zero in the last {rows} iterations with a value "
        "loss of {positive:.3g}"
    )


@dataclass(frozen=True)
class GradientsAlwaysClipped(ThresholdRule):
    """The gradient clip is active in nearly all updates, and the score has not improved.

    The limit of 95 % is from the edges post-mortem. Constant clipping alone is normal: in four
    healthy PPO runs 82 of 114 rows had a norm above the limit, and Adam cancels most of its effect.
    So a run that does not improve gets a note, and only a norm of a thousand times the limit counts
    as the cause.
    """

    symptom = "gradients_always_clipped"
    title = "The gradient clip changes nearly every update"
    needs = ("grad_clip_fraction", SCORE)
    highest = "warn"
    stagnant_only = True
    causes = (
        "the loss sums over rows or tokens where it should take the mean",
        "rewards so large that the value error dominates",
        "a clip limit that is too small",
    )
    remedy = (SCALED_REWARDS, lower("value_coef", 0.1), increase("grad_clip", 5, "then raise {}"))
    threshold = "clip_fraction"
    sentence = (
        "the clip was active in {value:.0%} of the updates of the last {rows} iterations{times} "
        "and the score has not improved"
    )

    clip_fraction: Annotated[float, Fraction] = 0.95
    """Fraction of clipped updates above which an iteration is sick."""
    excess: Annotated[float, Positive] = 1000.0
    """Gradient norm over its limit above which the clip counts as the cause."""
    rows: Annotated[int, AtLeastOne] = 10

    def choose_remedy(self, history: History) -> Remedy:
        """Return no smaller weight of the value where the policy's gradient alone is clipped."""
        of_policy = history.median("grad_norm_policy", self.rows)
        if of_policy > history.latest("grad_clip"):
            return (increase("grad_clip", 5),)
        return self.remedy

    def is_excused(self, history: History) -> bool:
        """Return whether a few bad iterations only make a gain uncertain."""
        return history.progress.has_improved_lately(self.rows)

    def choose_severity(self, history: History, value: float) -> Severity:
        """Return a stop where the norm is far beyond the limit.

        Adam divides by the size of the gradients, so a constant factor of the clip nearly cancels.
        """
        return "stop" if self._compute_ratio(history) > self.excess else "note"

    def describe(self, history: History) -> Mapping[str, object]:
        """Return the norm as a multiple of its limit."""
        ratio = self._compute_ratio(history)
        return {"times": f", the norm is {ratio:.3g} times the limit," if ratio else ""}

    def _compute_ratio(self, history: History) -> float:
        """Return the gradient norm over its limit, 0 where not known."""
        # RLlib logs the norm before clipping, so it may exceed the limit.
        norm, limit = history.median("grad_norm", self.rows), history.latest("grad_clip")
        return norm / limit if norm > 0 and limit > 0 else 0.0
