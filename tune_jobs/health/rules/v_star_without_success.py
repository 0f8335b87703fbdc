"""Rule ``v_star_without_success``: the reference succeeded from no start, so V* is too low."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy, at_least, increase
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class VStarWithoutSuccess(Rule):
    """No sample of nearly every start reached the goal: V* is the return of failing there.

    The policy then learns to fail a little better than its reference, and nothing points at the
    goal. Partial rewards may still lead there, so a run whose score has improved is healthy. Judged
    from the first batches of stage 1 on, which may take hours.

    Warm-up: ``starts`` starts, or all of them. NaN policy: rows without the metric are left out.
    """

    symptom: ClassVar[str] = "v_star_without_success"
    needs: ClassVar[tuple[str, ...]] = ("v_star_failed_fraction", "v_star_starts")
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "a reference policy that cannot solve the task: no warm start, or one from a bad teacher",
        "starts that are too hard for it",
        "too few samples for a success that is rare",
    )
    remedy: ClassVar[Remedy] = (
        "let the reference succeed: `warm_start` from a simple policy, or easier starts",
        increase("reference_samples", 16),
        at_least("num_envs", 32, "for that raise {}"),
    )

    failed_fraction: Annotated[float, Fraction] = 0.99
    """Fraction of starts without a success above which V* is sick."""
    starts: Annotated[int, AtLeastOne] = 32
    """Starts after which an unfinished stage 1 is judged."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when nearly no start has a sample that succeeded."""
        failed, done = history.latest("v_star_failed_fraction"), history.latest("v_star_starts")
        left = history.latest("v_star_starts_left")
        if not failed > self.failed_fraction or (done < self.starts and left > 0):
            return None
        if history.improved:
            return None
        k = history.latest("reference_samples")
        samples = f"{k:.0f} samples" if k > 1 else "samples"
        sick = history.series("v_star_failed_fraction") > self.failed_fraction
        return self.report(
            "warn",
            history.find_onset(sick, len(history)),
            f"from {failed:.0%} of {done:,.0f} starts none of the reference's {samples} succeeded",
        )
