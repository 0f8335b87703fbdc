"""Rule ``clip_range_too_small``: the clip stops every update before the policy has moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, at_least
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class ClipRangeTooSmall(Rule):
    """Nearly all probability ratios leave the clip range although KL is close to zero.

    Healthy runs have a clip fraction of at most 0.38, with a KL of about 0.01. Many clipped ratios
    at a large KL mean that the learning rate is too high (``kl_runaway``). With the usual range of
    0.2, steps this small cannot clip this often.

    Warm-up: ``rows`` rows and until the score can be judged. NaN policy: rows without a number are
    left out.
    """

    symptom: ClassVar[str] = "clip_range_too_small"
    needs: ClassVar[tuple[str, ...]] = ("clip_fraction", "kl", SCORE)
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "a clip range near zero",
        "a schedule that takes the clip range to zero too early",
        "a ratio computed against the wrong policy",
    )
    remedy: ClassVar[Remedy] = (
        at_least("clip", 0.2),
        "check that its schedule does not end at zero early",
    )

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
        # abs, because the usual estimator of KL is noisy and may be slightly negative (-1e-9 in
        # SB3).
        if fractions.min() <= self.clip_fraction or np.abs(kl).max() >= self.kl:
            return None
        clipped = history.series("clip_fraction") > self.clip_fraction
        # Many clipped ratios at a large KL are the opposite fault, a learning rate that is too
        # high.
        sick = clipped & (np.abs(history.series("kl")) < self.kl)
        return self.report(
            "stop",
            history.find_onset(sick, self.rows),
            f"{np.median(fractions):.0%} of the ratios were clipped in the last {self.rows} "
            f"iterations at a KL of {np.median(kl):.1g} and the score has not improved",
        )
