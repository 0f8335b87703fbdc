"""Rule ``gradients_always_clipped``: no update is the one the loss asked for."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, increase, lower


@dataclasses.dataclass(frozen=True)
class GradientsAlwaysClipped(Rule):
    """The clip is active in nearly all updates, and the score has not improved.

    The 95 % are those of the edges post-mortem. Alone they are normal: in four healthy PPO runs 82
    of 114 rows had a norm above the limit, and Adam undoes most of it. So a run that does not
    improve gets a note, and only a norm a thousand times the limit is taken for the cause.

    Warm-up: ``rows`` rows. NaN policy: rows without the share are left out.
    """

    symptom: ClassVar[str] = "gradients_always_clipped"
    needs: ClassVar[tuple[str, ...]] = ("grad_clip_fraction", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "the loss sums over rows or tokens where it should take the mean",
        "rewards so large that the value error dominates",
        "a limit that is too small",
    )
    remedy: ClassVar[Remedy] = (
        SCALED_REWARDS,
        lower("value_coef", 0.1),
        increase("grad_clip", 5, "then raise {}"),
    )
    highest: ClassVar[Severity] = "warn"

    clip_fraction: Annotated[float, Fraction] = 0.95
    """Share of updates with an active clip above which an iteration is sick."""
    excess: Annotated[float, Positive] = 1000.0
    """Gradient norm over its limit above which the clip is taken for the cause."""
    rows: Annotated[int, AtLeastOne] = 10
    """The median of this many last iterations is judged."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the clip is active in nearly all recent updates."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved is not False:
            return None
        shares = history.recent("grad_clip_fraction", self.rows)
        if shares.size == 0 or np.median(shares) <= self.clip_fraction:
            return None
        if history.has_improved_lately(self.rows):
            return None
        norms, limit = history.recent("grad_norm", self.rows), history.latest("grad_clip")
        ratio = float(np.median(norms)) / limit if norms.size and limit > 0 else 0.0
        times = f", the norm is {ratio:.3g} times the limit," if ratio else ""
        return Finding(
            self.symptom,
            "stop" if ratio > self.excess else "note",
            history.find_onset(
                history.series("grad_clip_fraction") > self.clip_fraction, self.rows
            ),
            f"the clip was active in {np.median(shares):.0%} of the updates of the last "
            f"{self.rows} iterations{times} and the score has not improved",
        )
