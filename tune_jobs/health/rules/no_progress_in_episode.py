"""Rule ``no_progress_in_episode``: episodes end no better than they began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, at_least, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class NoProgressInEpisode(Rule):
    """The last steps of an episode are no better than its first.

    For environments in which an episode is a search (causal optimising compares the last three
    steps with the first three); only they report the metric. A policy that is optimal from its
    first step has no progress either, so the score must not have improved, and the finding is a
    note until ``warn_from`` of the budget is used.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "no_progress_in_episode"
    needs: ClassVar[tuple[str, ...]] = ("episode_improvement", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "the observation does not contain the results of earlier steps",
        "a discount so low that exploring within an episode never pays",
        "the policy repeats one action",
    )
    remedy: ClassVar[Remedy] = (
        "put the results of earlier steps into the observation",
        at_least("gamma", 0.99, "raise {} (1 for short episodes)"),
        put("model", "set", "try {} where the observation consists of nodes"),
    )

    rows: Annotated[int, AtLeastOne] = 10
    """Number of last iterations whose median is judged."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget that must be used before the rule judges."""
    warn_from: Annotated[float, Fraction] = 0.4
    """Fraction of the budget from which it warns instead of noting."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the recent episodes did not improve towards their end."""
        gain = history.median("episode_improvement", self.rows)
        # Written as "not at most zero", so that NaN gives no finding.
        if not gain <= 0:
            return None
        return self.report(
            "warn" if history.budget_fraction_used >= self.warn_from else "note",
            history.find_onset(history.series("episode_improvement") <= 0, self.rows),
            f"the end of an episode differs from its beginning by {gain:.2g} over the last "
            f"{self.rows} iterations and the score has not improved",
        )
