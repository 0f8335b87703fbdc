"""Rule ``advantages_flat``: all samples of nearly every start have the same return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy, at_least, increase
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class AdvantagesFlat(Rule):
    """V* equals the return of every sample, so the reference's advantages are all 0.

    Nothing that the reference does is better than anything else it does, and A*-PO starts as the
    reference. A run whose score has improved has found a difference and is healthy. Judged from the
    first batches of stage 1 on; with a single sample per start there is nothing to compare.

    Warm-up: ``starts`` starts, or all of them. NaN policy: rows without the metric are left out.
    """

    symptom: ClassVar[str] = "advantages_flat"
    needs: ClassVar[tuple[str, ...]] = ("v_star_flat_fraction", "v_star_starts")
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "a reference so deterministic that its episodes from one start are copies of each other",
        "every sample fails or every one succeeds: starts too hard or too easy",
        "a reward with few distinct values, such as 0 and 1",
    )
    remedy: ClassVar[Remedy] = (
        "keep the reference stochastic: fewer `warm_start_epochs`, or a teacher that explores",
        increase("reference_samples", 16),
        at_least("num_envs", 32, "for that raise {}"),
        "mix starts of different difficulty and make the reward finer",
    )

    flat_fraction: Annotated[float, Fraction] = 0.95
    """Fraction of starts without any difference above which stage 1 is sick."""
    starts: Annotated[int, AtLeastOne] = 32
    """Starts after which an unfinished stage 1 is judged."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when samples of nearly no start differ in their returns."""
        flat, done = history.latest("v_star_flat_fraction"), history.latest("v_star_starts")
        left = history.latest("v_star_starts_left")
        if not flat > self.flat_fraction or (done < self.starts and left > 0):
            return None
        # One sample equals itself: `v_star_few_samples` reports that.
        if history.latest("reference_samples") == 1 or history.improved:
            return None
        sick = history.series("v_star_flat_fraction") > self.flat_fraction
        return self.report(
            "warn",
            history.find_onset(sick, len(history)),
            f"from {flat:.0%} of {done:,.0f} starts all samples of the reference had the same "
            "return",
        )
