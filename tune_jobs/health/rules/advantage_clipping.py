"""Rule ``advantage_clipping``: most advantages are clipped and no longer differ in size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class AdvantageClipping(Rule):
    """More than half of the advantages exceed the clip limit.

    The limit of one half is from the shopping post-mortem. Only the sign of a clipped advantage is
    left. That is enough for slow learning, so a run whose score has improved gets a note.
    Normalised advantages rarely trigger the rule: at most 4 % of any sample lie beyond 5 standard
    deviations.

    Warm-up: ``rows`` rows. NaN policy: rows without the metric are left out.
    """

    symptom: ClassVar[str] = "advantage_clipping"
    needs: ClassVar[tuple[str, ...]] = ("advantage_clip_fraction", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "advantages that are clipped without being normalised first",
        "rewards much larger than the clip limit",
        "V* far from all returns",
    )
    remedy: ClassVar[Remedy] = (
        put(
            "normalise_advantages",
            True,
            "normalise the advantages ({})",
            without=put("loss", "regression", "train by {}, which clips no advantage"),
        ),
        SCALED_REWARDS,
        "then look for `v_star_optimistic` and `v_star_pessimistic`",
    )

    clip_fraction: Annotated[float, Fraction] = 0.5
    """Fraction of clipped advantages above which an iteration is sick."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations whose median is judged."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when most of the recent advantages were clipped."""
        clipped = history.median("advantage_clip_fraction", self.rows)
        if not clipped > self.clip_fraction:
            return None
        # None is not stagnant: early in a run large advantages are normal, as V* or the critic is
        # still off.
        stagnant = history.improved is False
        sick = history.series("advantage_clip_fraction") > self.clip_fraction
        return self.report(
            "warn" if stagnant else "note",
            history.find_onset(sick, self.rows),
            f"{clipped:.0%} of the advantages of the last {self.rows} iterations were clipped"
            + (" and the score has not improved" if stagnant else ""),
        )
