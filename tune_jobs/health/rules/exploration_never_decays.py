"""Rule ``exploration_never_decays``: nearly all actions are drawn at random to the end."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, validate
from tune_jobs.health.finding import Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy


@dataclasses.dataclass(frozen=True)
class ExplorationNeverDecays(Rule):
    """Late in the run an epsilon-greedy agent still draws nearly all of its actions at random.

    Every schedule begins at 1, and those in use end between 0.01 and 0.1 after 10 to 50 % of the
    run. What is logged is then the return of chance, whatever was learnt, so the score is not
    asked. Only logs of others have the rate.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: rows without the rate are left out.
    """

    symptom: ClassVar[str] = "exploration_never_decays"
    needs: ClassVar[tuple[str, ...]] = ("exploration_rate",)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "a final rate near 1",
        "a schedule made for many more steps than the run has",
        "a schedule that is never advanced",
    )
    remedy: ClassVar[Remedy] = (
        "let the share of random actions fall to 0.05 within the first tenth to half of the run "
        "(in SB3 exploration_final_eps and exploration_fraction)",
    )

    rate: Annotated[float, Fraction] = 0.9
    """Share of random actions above which an iteration explores only."""
    rows: Annotated[int, AtLeastOne] = 5
    """All of this many last iterations must be sick."""
    share_of_budget: Annotated[float, Fraction] = 0.6
    """Share of the budget spent before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the recent rates are those of the first row."""
        if not history.is_warmed_up(self.rows, self.share_of_budget):
            return None
        rates = history.recent("exploration_rate", self.rows)
        if rates.size == 0 or rates.min() <= self.rate:
            return None
        return Finding(
            self.symptom,
            "warn",
            history.find_onset(history.series("exploration_rate") > self.rate, self.rows),
            f"{np.median(rates):.0%} of the actions are drawn at random after {len(history)} "
            "iterations",
        )
