"""Rule ``gradients_always_clipped``: the gradient clip changes nearly every update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, increase, lower
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class GradientsAlwaysClipped(Rule):
    """The gradient clip is active in nearly all updates, and the score has not improved.

    The limit of 95 % is from the edges post-mortem. Constant clipping alone is normal: in four
    healthy PPO runs 82 of 114 rows had a norm above the limit, and Adam cancels most of its effect.
    So a run that does not improve gets a note, and only a norm of a thousand times the limit counts
    as the cause.

    Warm-up: ``rows`` rows. NaN policy: rows without the metric are left out.
    """

    symptom: ClassVar[str] = "gradients_always_clipped"
    needs: ClassVar[tuple[str, ...]] = ("grad_clip_fraction", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "the loss sums over rows or tokens where it should take the mean",
        "rewards so large that the value error dominates",
        "a clip limit that is too small",
    )
    remedy: ClassVar[Remedy] = (
        SCALED_REWARDS,
        lower("value_coef", 0.1),
        increase("grad_clip", 5, "then raise {}"),
    )

    clip_fraction: Annotated[float, Fraction] = 0.95
    """Fraction of clipped updates above which an iteration is sick."""
    excess: Annotated[float, Positive] = 1000.0
    """Gradient norm over its limit above which the clip counts as the cause."""
    rows: Annotated[int, AtLeastOne] = 10
    """Number of last iterations whose median is judged."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the clip was active in nearly all recent updates."""
        clipped = history.median("grad_clip_fraction", self.rows)
        if not clipped > self.clip_fraction or history.has_improved_lately(self.rows):
            return None
        # RLlib logs the norm before clipping, so it may exceed the limit.
        norm, limit = history.median("grad_norm", self.rows), history.latest("grad_clip")
        ratio = norm / limit if norm > 0 and limit > 0 else 0.0
        times = f", the norm is {ratio:.3g} times the limit," if ratio else ""
        sick = history.series("grad_clip_fraction") > self.clip_fraction
        return self.report(
            # Adam divides by the size of the gradients, so a constant factor of the clip nearly
            # cancels.
            "stop" if ratio > self.excess else "note",
            history.find_onset(sick, self.rows),
            f"the clip was active in {clipped:.0%} of the updates of the last {self.rows} "
            f"iterations{times} and the score has not improved",
        )
