"""Rule ``clip_range_too_small``: the clip cuts off every update before it has moved the policy."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule
from tune_jobs.health.improvement import BoolArray
from tune_jobs.health.remedy import Remedy, at_least


@dataclasses.dataclass(frozen=True)
class ClipRangeTooSmall(Rule):
    """Nearly all probability ratios leave the clip range although KL is next to nothing.

    Healthy runs have a clip fraction of at most 0.38 and then a KL of a hundredth; many clipped
    ratios with a large KL are a learning rate that is too high (``kl_runaway``). At a usual range
    of 0.2 no policy can be clipped this often by steps this small.

    Warm-up: ``rows`` rows and until the score can be judged. NaN policy: rows without a number are
    left out.
    """

    symptom: ClassVar[str] = "clip_range_too_small"
    needs: ClassVar[tuple[str, ...]] = ("clip_fraction", "kl", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "a clip range near zero",
        "a schedule that takes the clip range to zero too early",
        "a ratio computed against the wrong policy",
    )
    remedy: ClassVar[Remedy] = (
        at_least("clip", 0.2),
        "see that its schedule does not end at zero early",
    )

    fraction: Annotated[float, Fraction] = 0.9
    """Clip fraction above which an iteration is sick (healthy runs: 0.38 at most)."""
    kl: Annotated[float, Positive] = 1e-5
    """KL in nats below which an iteration has hardly moved the policy."""
    rows: Annotated[int, AtLeastOne] = 5
    """All of this many last iterations must be sick."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when all recent iterations clipped nearly everything and moved nearly nothing."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved is not False:
            return None
        fractions = history.recent("clip_fraction", self.rows)
        kl = history.recent("kl", self.rows)
        if fractions.size == 0 or kl.size == 0:
            return None
        if fractions.min() <= self.fraction or np.abs(kl).max() >= self.kl:
            return None
        return Finding(
            self.symptom,
            "stop",
            history.find_onset(self._sick(history), self.rows),
            f"{np.median(fractions):.0%} of the ratios were clipped in the last {self.rows} "
            f"iterations at a KL of {np.median(kl):.1g} and the score has not improved",
        )

    def _sick(self, history: History) -> BoolArray:
        clipped = history.series("clip_fraction") > self.fraction
        return clipped & (np.abs(history.series("kl")) < self.kl)
