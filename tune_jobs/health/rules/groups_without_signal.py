"""Rule ``groups_without_signal``: in most groups all episodes have the same return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, at_least, increase
from tune_jobs.health.rule import Rule, grade


@dataclass(frozen=True)
class GroupsWithoutSignal(Rule):
    """All returns of most groups are equal, so no episode of a group is better than another.

    Such a group is left out of the update (the causal-optimising post-mortem trained on few
    others). A solved task has no signal either, so the score must not have improved. A run that
    starts at its optimum cannot be distinguished.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without the metric are left
    out.
    """

    symptom: ClassVar[str] = "groups_without_signal"
    needs: ClassVar[tuple[str, ...]] = ("group_signal", SCORE)
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "every episode of a group succeeds or every one fails: starts too easy or too hard",
        "a policy so deterministic that a group's episodes are copies of each other",
        "a reward with few distinct values, such as 0 and 1",
    )
    remedy: ClassVar[Remedy] = (
        increase("group_size", 16, "take more episodes from each start: raise {}"),
        at_least("num_envs", 32, "for that raise {}"),
        "mix starts of different difficulty and make the reward finer",
        increase("entropy_coef", 0.03, "keep the policy stochastic: raise {}"),
    )

    note: Annotated[float, Fraction] = 0.75
    """Fraction of groups without signal above which it notes (the severest level of rldoctor)."""
    warn: Annotated[float, Fraction] = 0.9
    """Fraction above which it warns: an update then uses a tenth of the collected episodes."""
    stop: Annotated[float, Fraction] = 0.99
    """Fraction above which it asks for a stop: almost no episode is left to learn from."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations whose median is judged."""
    budget_fraction: Annotated[float, Fraction] = 0.1
    """Fraction of the budget that must be used before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the recent groups have almost no signal."""
        without = 1 - history.median("group_signal", self.rows)
        # A NaN (no value in the window) exceeds no limit and gives no finding.
        severity = grade(without, self.note, self.warn, self.stop)
        if severity is None:
            return None
        return self.report(
            severity,
            history.find_onset(1 - history.series("group_signal") > self.note, self.rows),
            f"in {without:.0%} of the groups of the last {self.rows} iterations all returns are "
            "equal and the score has not improved",
        )
