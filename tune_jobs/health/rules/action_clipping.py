"""Rule ``action_clipping``: nearly all action values lie outside the action bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, at_most, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class ActionClipping(Rule):
    """Nearly all sampled values are clipped to a bound, and the score has not improved.

    Clipped values have the same effect, so they carry no gradient about the reward. Always using a
    bound can be optimal (bang-bang control), hence the condition on the score. A policy that starts
    with mean 0 and standard deviation 1 has a third of its values outside bounds of 1.

    Warm-up: ``rows`` rows. NaN policy: rows without the metric are left out.
    """

    symptom: ClassVar[str] = "action_clipping"
    needs: ClassVar[tuple[str, ...]] = ("action_clip_fraction", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "an entropy bonus that widens the action distribution without limit",
        "action bounds that are small compared with a standard deviation of 1",
        "updates so large that the mean has left the bounds",
    )
    remedy: ClassVar[Remedy] = (
        at_most("entropy_coef", 0),
        "give the environment action bounds of -1 and 1 and rescale inside it",
        put("value_distribution", "beta", "use a bounded distribution ({})"),
    )

    clip_fraction: Annotated[float, Fraction] = 0.9
    """Fraction of values outside the bounds above which an iteration is sick."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations whose median is judged."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when nearly all recent values were clipped."""
        clipped = history.median("action_clip_fraction", self.rows)
        # The median over a few rows: one iteration of clipped exploration is no symptom. It is NaN
        # without values, and the comparison then false.
        if not clipped > self.clip_fraction:
            return None
        sick = history.series("action_clip_fraction") > self.clip_fraction
        return self.report(
            "warn",
            history.find_onset(sick, self.rows),
            f"{clipped:.0%} of the action values of the last {self.rows} iterations were outside "
            "the action bounds and the score has not improved",
        )
