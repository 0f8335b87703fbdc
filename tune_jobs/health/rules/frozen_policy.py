"""Rule ``frozen_policy``: the updates do not change the policy."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import Between, Fraction, Positive, validate
from tune_jobs.health.finding import Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_least, lower


@dataclasses.dataclass(frozen=True)
class FrozenPolicy(Rule):
    """From the start on, updates leave KL at zero and the entropy where it was.

    A policy that has converged also stands still (7 of 30 healthy runs have a median KL below
    1e-5), so it must have stood still in the first quarter too, and the score must not have
    improved. Some trainers log KL as exactly 0 in every row when they do not compute it; then
    only the entropy can tell, and as that of a policy with a fixed spread is constant by right,
    it gives a warning, not a stop.

    Warm-up: ``rows`` rows and ``share_of_budget`` (a learning rate may warm up). The first row is
    left out. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "frozen_policy"
    needs: ClassVar[tuple[str, ...]] = ("entropy",)
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
        "see whether the advantages differ at all",
        lower("value_coef", 0.1),
    )
    can_recover: ClassVar[bool] = False

    kl: Annotated[float, Positive] = 1e-6
    """Median absolute KL below which nothing moves."""
    clip_fraction: Annotated[float, Fraction] = 1e-3
    """Clip fraction up to which nothing moves."""
    spread: Annotated[float, Positive] = 0.01
    """Largest minus smallest entropy, as a share of its size, below which nothing moves."""
    nats: Annotated[float, Positive] = 1e-5
    """The same in nats, where KL is not known."""
    rows: Annotated[int, Between(4)] = 7
    """Rows before it judges."""
    share_of_budget: Annotated[float, Fraction] = 0.1
    """Share of the budget spent before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when neither KL nor the entropy has moved since the start."""
        if not history.is_warmed_up(self.rows, self.share_of_budget) or history.improved:
            return None
        entropy = history.series("entropy")[1:]
        entropy = entropy[np.isfinite(entropy)]
        if entropy.size < 3:
            return None
        moved = float(entropy.max() - entropy.min())
        kl = history.series("kl")[1:]
        measured = bool(np.any(np.abs(kl) > 0)) or (
            history.has("kl") and history.has("clip_fraction")
        )
        if measured:
            still = moved <= self.spread * float(np.abs(entropy).max()) and self._kl_is_zero(
                history
            )
            return self._finding(history, "stop", "KL is zero and the entropy") if still else None
        return self._finding(history, "warn", "the entropy") if moved < self.nats else None

    def _kl_is_zero(self, history: History) -> bool:
        """Whether KL is nothing both in the first quarter of the rows and in the last three."""
        quarter = max(self.rows, len(history) // 4)
        kl = np.abs(history.series("kl"))
        clip = history.series("clip_fraction")[1:quarter]
        early, late = kl[1:quarter], kl[-3:]
        early, late = early[np.isfinite(early)], late[np.isfinite(late)]
        if early.size == 0 or late.size == 0 or np.any(clip > self.clip_fraction):
            return False
        return bool(np.median(early) < self.kl and np.median(late) < self.kl)

    def _finding(self, history: History, severity: Severity, what: str) -> Finding:
        rate = f", learning rate {history.latest('lr'):.1g}" if history.has("lr") else ""
        return Finding(
            self.symptom,
            severity,
            history.iteration(0),
            f"{what} has not moved in {len(history)} iterations{rate}",
        )
