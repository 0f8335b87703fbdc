"""Rule ``frozen_policy``: the updates do not change the policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import Between, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy, at_least, lower
from tune_jobs.health.rule import Rule
from tune_jobs.health.rules.constant_reward import is_constant


@dataclass(frozen=True)
class FrozenPolicy(Rule):
    """From the start on, updates leave KL at zero and the entropy unchanged.

    A converged policy does not move either (7 of 30 healthy runs have a median KL below 1e-5), so
    KL must have been zero in the first quarter too, and the score must not have improved. Some
    trainers log a KL of exactly 0 in every row when they do not compute it. Then only the entropy
    is left, and since that of a policy with a fixed standard deviation is constant by construction,
    the finding is a warning, not a stop.

    Without a baseline that is learnt, a return that never differs moves nothing either;
    ``constant_reward`` reports that, and gives a goal that is found late its time.

    Warm-up: ``rows`` rows and ``budget_fraction`` (a learning rate may warm up). The first row is
    left out. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "frozen_policy"
    needs: ClassVar[tuple[str, ...]] = ("entropy",)
    can_recover: ClassVar[bool] = False
    causes: ClassVar[tuple[str, ...]] = (
        "a learning rate, gradient clip or clip range near zero",
        "the policy's parameters get no gradient",
        "all advantages are zero",
        "a value loss so large that clipping leaves nothing for the policy",
    )
    remedy: ClassVar[Remedy] = (
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
    rows: Annotated[int, Between(4)] = 7
    """Rows before the rule judges, at most half of the budget."""
    budget_fraction: Annotated[float, Fraction] = 0.1
    """Fraction of the budget that must be used before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when neither KL nor the entropy has moved since the start."""
        if history.improved or is_constant(history.recent(history.return_name, len(history))):
            return None
        entropy = history.series("entropy")[1:]
        entropy = entropy[np.isfinite(entropy)]
        if entropy.size < 3:
            return None
        moved = float(entropy.max() - entropy.min())
        kl = history.series("kl")[1:]
        # A KL of zero is a measurement only where the clip fraction is logged as well.
        measured = bool(np.any(np.abs(kl) > 0)) or (
            history.has("kl") and history.has("clip_fraction")
        )
        if not measured:
            return self._report(history, "warn", "the entropy") if moved < self.nats else None
        # The KL is an estimate from the sampled actions and may be near zero by chance: the entropy
        # must agree.
        if moved > self.spread * float(np.abs(entropy).max()) or not self._is_kl_zero(history):
            return None
        return self._report(history, "stop", "KL is zero and the entropy")

    def _is_kl_zero(self, history: History) -> bool:
        """Return whether KL is zero both in the first quarter of the rows and in the last three."""
        # The early quarter separates a policy that never moved from one that has converged.
        quarter = max(self.rows, len(history) // 4)
        kl = np.abs(history.series("kl"))
        clip = history.series("clip_fraction")[1:quarter]
        early, late = kl[1:quarter], kl[-3:]
        early, late = early[np.isfinite(early)], late[np.isfinite(late)]
        if early.size == 0 or late.size == 0 or np.any(clip > self.clip_fraction):
            return False
        return bool(np.median(early) < self.kl and np.median(late) < self.kl)

    def _report(self, history: History, severity: Severity, what: str) -> Finding:
        rate = f", learning rate {history.latest('lr'):.1g}" if history.has("lr") else ""
        evidence = f"{what} has not moved in {len(history)} iterations{rate}"
        return self.report(severity, history.iteration(0), evidence)


def is_policy_frozen(history: History) -> bool:
    """Return whether ``frozen_policy`` explains the run, so that other rules stay silent."""
    return history.has("entropy") and FrozenPolicy()(history) is not None
