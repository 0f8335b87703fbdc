"""Rule ``always_truncated``: every episode ends at its time limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, increase
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class AlwaysTruncated(Rule):
    """All episodes were truncated at the same length, and the score has not improved.

    Only a note: tasks with a fixed horizon always end like this, and the metrics do not distinguish
    them from tasks whose goal is never reached.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without a number are left out.
    """

    symptom: ClassVar[str] = "always_truncated"
    needs: ClassVar[tuple[str, ...]] = ("truncated_fraction", "episode_length", SCORE)
    highest: ClassVar[Severity] = "note"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "the goal is never reached within the time limit",
        "the environment never returns terminated",
        "a time limit too short for the task",
    )
    remedy: ClassVar[Remedy] = (
        "if the task has a goal, check that a simple policy reaches it within the time limit",
        "lengthen the time limit",
        increase("entropy_coef", 0.03, "explore more: raise {}"),
        "a task with a fixed horizon needs no change",
    )

    spread: Annotated[float, NonNegative] = 1e-6
    """Relative difference between the mean lengths up to which they count as equal."""
    rows: Annotated[int, AtLeastOne] = 10
    """Number of last iterations, all of which must be sick."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget that must be used before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a note when all recent episodes were truncated at one length."""
        truncated = history.recent("truncated_fraction", self.rows)
        lengths = history.recent("episode_length", self.rows)
        # Every row must be truncated throughout: a single episode that ends by itself proves that
        # the task can end.
        if truncated.size == 0 or lengths.size == 0 or truncated.min() < 1:
            return None
        # Lengths are means over episodes, so rounding alone may make equal ones differ slightly.
        if np.ptp(lengths) > self.spread * lengths.max():
            return None
        return self.report(
            "note",
            history.find_onset(history.series("truncated_fraction") >= 1, self.rows),
            f"every episode of the last {self.rows} iterations was truncated after "
            f"{lengths[-1]:,.0f} steps and the score has not improved",
        )
