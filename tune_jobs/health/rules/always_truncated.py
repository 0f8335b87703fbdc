"""Rule ``always_truncated``: every episode runs into its time limit."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, increase


@dataclasses.dataclass(frozen=True)
class AlwaysTruncated(Rule):
    """All episodes were cut off at the same length, and the score has not improved.

    No more than a note: tasks of a fixed horizon end so by right, and nothing in the numbers tells
    them from a goal that is never reached.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "always_truncated"
    needs: ClassVar[tuple[str, ...]] = ("truncated_fraction", "episode_length", SCORE)
    highest: ClassVar[Severity] = "note"
    causes: ClassVar[tuple[str, ...]] = (
        "the goal is never reached within the time limit",
        "the environment never returns terminated",
        "a time limit too short for the task",
    )
    remedy: ClassVar[Remedy] = (
        "if the task has a goal, see that a simple rule reaches it in time",
        "lengthen the time limit",
        increase("entropy_coef", 0.03, "explore more: raise {}"),
        "a fixed horizon needs nothing",
    )

    spread: Annotated[float, NonNegative] = 1e-6
    """Difference between the mean lengths, over their size, up to which they are the same."""
    rows: Annotated[int, AtLeastOne] = 10
    """All of this many last iterations must be sick."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the recent episodes all ran into one limit."""
        if (
            not history.is_warmed_up(self.rows, self.share_of_budget)
            or history.improved is not False
        ):
            return None
        shares = history.recent("truncated_fraction", self.rows)
        lengths = history.recent("episode_length", self.rows)
        if shares.size == 0 or lengths.size == 0 or shares.min() < 1:
            return None
        if np.ptp(lengths) > self.spread * lengths.max():
            return None
        return Finding(
            self.symptom,
            "note",
            history.find_onset(history.series("truncated_fraction") >= 1, self.rows),
            f"every episode of the last {self.rows} iterations was cut off after "
            f"{lengths[-1]:,.0f} steps and the score has not improved",
        )
