"""Rule ``no_progress_in_episode``: episodes end no better than they began."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_least, put


@dataclasses.dataclass(frozen=True)
class NoProgressInEpisode(Rule):
    """The last steps of an episode are no better than its first.

    For environments in which an episode is a search (causal optimising compares the last three
    steps with the first three); they alone report the metric. A policy that does the best from its
    first step on has no progress either, so the score must not have improved, and it is a note
    until much of the budget is gone.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "no_progress_in_episode"
    needs: ClassVar[tuple[str, ...]] = ("episode_improvement", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "the observation does not hold what earlier steps found out",
        "a discount so low that trying something never pays",
        "the policy repeats one action",
    )
    remedy: ClassVar[Remedy] = (
        "put the results of earlier steps into the observation",
        at_least("gamma", 0.99, "raise {} (1 for short episodes)"),
        put("model", "set", "try {} where the observation is made of nodes"),
    )

    rows: Annotated[int, AtLeastOne] = 10
    """The median of this many last iterations is judged."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""
    warn_from: Annotated[float, Fraction] = 0.4
    """Share of the budget from which it warns instead of noting."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the recent episodes did not get better on their way."""
        if (
            not history.is_warmed_up(self.rows, self.share_of_budget)
            or history.improved is not False
        ):
            return None
        gains = history.recent("episode_improvement", self.rows)
        if gains.size == 0 or np.median(gains) > 0:
            return None
        return Finding(
            self.symptom,
            "warn" if history.budget_fraction_used >= self.warn_from else "note",
            history.find_onset(history.series("episode_improvement") <= 0, self.rows),
            f"the end of an episode differs from its beginning by {np.median(gains):.2g} over the "
            f"last {self.rows} iterations and the score has not improved",
        )
