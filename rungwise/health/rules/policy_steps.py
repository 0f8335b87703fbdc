"""Rules for the size of the policy's steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rungwise.health.finding import Finding, Severity
from rungwise.health.history import SCORE, History
from rungwise.health.improvement import is_constant, keep_finite, median
from rungwise.health.remedy import SCALED_REWARDS, Remedy, at_least, at_most, increase, limit, lower
from rungwise.health.rule import Rule
from rungwise.validation import AtLeastOne, Between, Fraction, Positive


@dataclass(frozen=True)
class FrozenPolicy(Rule):
    """From the start on, updates leave KL at zero and the entropy unchanged.

    A converged policy does not move either (7 of 30 healthy runs have a median KL below 1e-5), so
    KL must have been zero in the first quarter too, and the score must not have improved. A KL of
    exactly 0 in every row is not computed, or computed before the only step of an iteration: of
    later steps, policies that did not move had rounding errors of 1e-10 to 1e-8. Then only the
    entropy is left, and since that of a policy with a fixed standard deviation is constant by
    construction, the finding is a warning, not a stop.

    Without a baseline that is learnt, a return that never differs moves nothing either;
    ``constant_reward`` reports that, and gives a goal that is found late its time. So do steps that
    are never paid, also where no episode has ended. Where most policy losses are exactly zero, the
    rollouts had nothing to learn from, which rarer rewards may change: that only warns.
    """

    symptom = "frozen_policy"
    title = "The updates do not change the policy"
    needs = ("entropy",)
    can_recover = False
    warm_up = (
        "`rows` rows and `budget_fraction` (a learning rate may warm up). The first row is left out"
    )
    causes = (
        "a learning rate, gradient clip or clip range near zero",
        "the policy's parameters get no gradient",
        "all advantages are zero",
        "a value loss so large that clipping leaves nothing for the policy",
    )
    remedy = (
        at_least("lr", 3e-4),
        at_least("grad_clip", 0.5),
        at_least("clip", 0.2),
        "check whether the advantages differ at all",
        lower("value_coef", 0.1),
    )

    kl: Annotated[float, Positive] = 1e-6
    """Median absolute KL below which the policy does not move."""
    clip_fraction: Annotated[float, Fraction] = 1e-3
    """Clip fraction up to which the policy does not move."""
    spread: Annotated[float, Positive] = 0.01
    """Range of the entropy, as a fraction of its size, up to which the policy does not move."""
    nats: Annotated[float, Positive] = 1e-5
    """Range of the entropy in nats below which it does not move, where KL is unknown."""
    tau: Annotated[float, Fraction] = 0.5
    """Kendall's tau of the score above which it tends upwards, as long as it cannot be judged."""
    rows: Annotated[int, Between(4)] = 7
    budget_fraction: Annotated[float, Fraction] = 0.1

    def judge(self, history: History) -> Finding | None:
        """Return a finding when neither KL nor the entropy has moved since the start."""
        if history.progress.improved or is_constant(history.progress.returns):
            return None
        rewards = history.recent("reward_abs_max", len(history))
        if rewards.size and not rewards.any():
            return None
        entropy = keep_finite(history.series("entropy")[1:])
        if entropy.size < 3:
            return None
        moved = float(entropy.max() - entropy.min())
        kl = history.series("kl")[1:]
        # Before the only step of an iteration the policy is the one that acted, and KL exactly 0.
        updates, measured = history.recent("updates", len(history)), np.any(np.abs(kl) > 0)
        if updates.size:
            computed = history.has("kl") and history.has("clip_fraction")
            measured = median(updates) > 1 and (computed or measured)
        if not measured:
            return self._report(history, "warn", "the entropy") if moved < self.nats else None
        # The KL of sampled actions may be near zero by chance: the entropy must agree.
        if moved > self.spread * float(np.abs(entropy).max()) or not self._is_kl_zero(history):
            return None
        # None is too early to say that the score has not improved.
        rises = history.progress.improved is None and history.progress.trend > self.tau
        losses = np.abs(history.recent("policy_loss", len(history)))
        waits = losses.size > 0 and median(losses) == 0
        severity: Severity = "warn" if rises or waits else "stop"
        return self._report(history, severity, "KL is zero and the entropy")

    def _is_kl_zero(self, history: History) -> bool:
        """Return whether KL is zero both in the first quarter of the rows and in the last three."""
        # The early quarter separates a policy that never moved from one that has converged.
        quarter = max(self.rows, len(history) // 4)
        kl = np.abs(history.series("kl"))
        clip = history.series("clip_fraction")[1:quarter]
        early, late = keep_finite(kl[1:quarter]), keep_finite(kl[-3:])
        if early.size == 0 or late.size == 0 or np.any(clip > self.clip_fraction):
            return False
        return median(early) < self.kl and median(late) < self.kl

    def _report(self, history: History, severity: Severity, what: str) -> Finding:
        rate = f", learning rate {history.latest('lr'):.1g}" if history.has("lr") else ""
        evidence = f"{what} has not moved in {len(history)} iterations{rate}"
        return self.report(severity, history.iteration(0), evidence)


def is_policy_frozen(history: History) -> bool:
    """Return whether ``frozen_policy`` explains the run, so that other rules stay silent."""
    return history.has("entropy") and FrozenPolicy()(history) is not None


@dataclass(frozen=True)
class ClipRangeTooSmall(Rule):
    """Nearly all probability ratios leave the clip range although KL is close to zero.

    Healthy runs have a clip fraction of at most 0.38, with a KL of about 0.01. Many clipped ratios
    at a large KL mean that the learning rate is too high (``kl_runaway``). With the usual range of
    0.2, steps this small cannot clip this often.
    """

    symptom = "clip_range_too_small"
    title = "The clip stops every update before the policy has moved"
    needs = ("clip_fraction", "kl", SCORE)
    stagnant_only = True
    warm_up = "`rows` rows and until the score can be judged"
    causes = (
        "a clip range near zero",
        "a schedule that takes the clip range to zero too early",
        "a ratio computed against the wrong policy",
    )
    remedy = (at_least("clip", 0.2), "check that its schedule does not end at zero early")

    clip_fraction: Annotated[float, Fraction] = 0.9
    """Clip fraction above which an iteration is sick (healthy runs: 0.38 at most)."""
    kl: Annotated[float, Positive] = 1e-5
    """Absolute KL in nats below which an iteration has hardly moved the policy."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations, all of which must be sick."""

    def judge(self, history: History) -> Finding | None:
        """Return a stop when all recent iterations clipped nearly all ratios at almost no KL."""
        fractions = history.recent("clip_fraction", self.rows)
        kl = history.recent("kl", self.rows)
        if fractions.size == 0 or kl.size == 0:
            return None
        # abs: the usual estimator of KL is noisy and may be slightly negative (-1e-9 in SB3).
        if fractions.min() <= self.clip_fraction or np.abs(kl).max() >= self.kl:
            return None
        clipped = history.series("clip_fraction") > self.clip_fraction
        # Many clipped ratios at a large KL are the opposite fault: too high a learning rate.
        sick = clipped & (np.abs(history.series("kl")) < self.kl)
        return self.report(
            "stop",
            history.find_onset(sick, self.rows),
            f"{np.median(fractions):.0%} of the ratios were clipped in the last "
            f"{history.count_last(self.rows)} iterations at a KL of "
            f"{np.median(kl):.1g} and the score has not improved",
        )


@dataclass(frozen=True)
class HeadStarves(Rule):
    """The gradient of the policy's head is a tiny fraction of that of its backbone.

    What the policy's outputs learn passes through the head, so a backbone with a much larger
    gradient is trained by another part of the loss, usually the value error. Only networks that
    share the backbone between policy and value can starve like this. Advantages that are all equal
    leave no gradient in a correct loss, so they are left to other rules.
    """

    symptom = "head_starves"
    title = "The policy's head gets next to no gradient compared with its backbone"
    needs = ("grad_norm_head", "grad_norm_backbone", SCORE)
    highest = "warn"
    stagnant_only = True
    causes = (
        "the value error or another auxiliary loss dominates the shared layers",
        "the policy is close to deterministic, so that its outputs get no gradient",
        "the head's outputs are masked, detached or cut off before they become an action",
    )
    remedy = (
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
            f"the last {history.count_last(self.rows)} iterations and the score has not improved",
        )


@dataclass(frozen=True)
class UpdateRatio(Rule):
    """The norm of the parameters' change over their norm is far outside the usual range.

    About a thousandth per step is a rule of thumb; an iteration of dozens of steps changes a fresh
    network by up to a tenth (measured: 0.08 in a healthy causal run, 8 at a learning rate of 0.3).
    Fast or slow is no fault while the score improves or tends upwards. Where the policy does not
    move at all, ``frozen_policy`` reports it instead.
    """

    symptom = "update_ratio"
    title = "An iteration changes the parameters far too much or hardly at all"
    needs = ("update_ratio", SCORE)
    stagnant_only = True
    warm_up = "`rows` rows and `budget_fraction` (a learning rate may warm up)"
    causes = (
        "a learning rate far too high or far too low",
        "too many or too few optimiser steps in an iteration",
        "a gradient clip near zero",
    )
    remedy = (
        lower("lr", 3e-4),
        at_most("epochs", 4),
        limit("grad_clip", 0.5, "clip with {}"),
        "check the size of the rewards and of the observations",
    )

    high: Annotated[float, Positive] = 0.3
    """Ratio above which an iteration replaces the network."""
    low: Annotated[float, Positive] = 1e-6
    """Ratio below which a thousand iterations have no effect."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations, all of which must be sick."""
    budget_fraction: Annotated[float, Fraction] = 0.1

    def judge(self, history: History) -> Finding | None:
        """Return a finding when all recent ratios are too high or all are too low."""
        ratios = history.recent("update_ratio", self.rows)
        if ratios.size == 0 or history.progress.trend > self.tau:
            return None
        if ratios.min() > self.high:
            sick, severity = history.series("update_ratio") > self.high, "warn"
        # Too small a ratio only wastes the budget, for good unless a schedule changes it; too large
        # a one can still settle.
        elif ratios.max() < self.low and not is_policy_frozen(history):
            sick, severity = history.series("update_ratio") < self.low, "stop"
        else:
            return None
        rate = f" at a learning rate of {history.latest('lr'):.2g}" if history.has("lr") else ""
        return self.report(
            severity,
            history.find_onset(sick, self.rows),
            f"an iteration changes the parameters by {np.median(ratios):.2g} of their size{rate} "
            "and the score has not improved",
        )

    def choose_remedy(self, history: History) -> Remedy:
        """Return the opposite where the parameters hardly change."""
        if history.latest("update_ratio") > self.low:
            return self.remedy
        return (
            increase("lr", 3e-4),
            at_least("epochs", 4),
            "check that the gradient clip is not near zero, and the size of the rewards",
        )
