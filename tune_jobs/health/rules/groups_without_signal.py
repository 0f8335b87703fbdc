"""Rule ``groups_without_signal``: most groups of episodes say nothing about what was better."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_least, increase


@dataclasses.dataclass(frozen=True)
class GroupsWithoutSignal(Rule):
    """All returns of a group are equal, so that none of its episodes is better than another.

    Such a group is left out of the update (the causal-optimising post-mortem trained on few
    others). A solved task has no signal either, so the score must not have improved; a run that
    begins at its optimum cannot be told apart.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: rows without the share are left out.
    """

    symptom: ClassVar[str] = "groups_without_signal"
    needs: ClassVar[tuple[str, ...]] = ("group_signal", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "every episode of a group succeeds or every one fails: starts too easy or too hard",
        "the policy is so certain that a group's episodes are copies of each other",
        "a reward of few steps, such as 0 or 1",
    )
    remedy: ClassVar[Remedy] = (
        increase("group_size", 16, "take more episodes from each start: raise {}"),
        at_least("num_envs", 32, "for that raise {}"),
        "mix starts of different difficulty and make the reward finer",
        increase("entropy_coef", 0.03, "keep the policy undecided: raise {}"),
    )

    note: Annotated[float, Fraction] = 0.75
    """Share of groups without signal above which it notes (the severest level of rldoctor)."""
    warn: Annotated[float, Fraction] = 0.9
    """Share above which it warns: an update then learns from a tenth of what was collected."""
    stop: Annotated[float, Fraction] = 0.99
    """Share above which it asks for a stop: nothing is left to learn from."""
    rows: Annotated[int, AtLeastOne] = 5
    """The median of this many last iterations is judged."""
    share_of_budget: Annotated[float, Fraction] = 0.1
    """Share of the budget spent before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the recent groups have next to no signal."""
        if (
            not history.is_warmed_up(self.rows, self.share_of_budget)
            or history.improved is not False
        ):
            return None
        recent = history.recent("group_signal", self.rows)
        if recent.size == 0:
            return None
        without = 1 - float(np.median(recent))
        severity = self._severity(without)
        if severity is None:
            return None
        return Finding(
            self.symptom,
            severity,
            history.find_onset(1 - history.series("group_signal") > self.note, self.rows),
            f"in {without:.0%} of the groups of the last {self.rows} iterations all returns are "
            "equal and the score has not improved",
        )

    def _severity(self, without: float) -> Severity | None:
        if without > self.stop:
            return "stop"
        if without > self.warn:
            return "warn"
        return "note" if without > self.note else None
