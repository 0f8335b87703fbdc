"""Rule ``no_updates``: steps are taken and nothing is ever learnt from them."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, validate
from tune_jobs.health.finding import Finding, History, Rule
from tune_jobs.health.remedy import Remedy


@dataclasses.dataclass(frozen=True)
class NoUpdates(Rule):
    """The count of optimiser steps has been zero in every row.

    Agents with a replay memory fill it first, for 1,000 to 50,000 steps by their defaults: so it
    waits for ``rows`` rows and half of the budget before it asks for a stop.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: rows without the count are left out.
    """

    symptom: ClassVar[str] = "no_updates"
    needs: ClassVar[tuple[str, ...]] = ("updates",)
    can_recover: ClassVar[bool] = False
    causes: ClassVar[tuple[str, ...]] = (
        "learning is to start after more steps than the run has",
        "a batch larger than what is ever collected",
        "a training step that is skipped, or never called",
    )
    remedy: ClassVar[Remedy] = (
        "begin to learn after at most a tenth of the steps (in SB3 learning_starts)",
        "see that a batch is no larger than what was collected by then",
    )

    rows: Annotated[int, AtLeastOne] = 8
    """Rows before it judges (or half of the budget, if that is less)."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""
    stop_from: Annotated[float, Fraction] = 0.5
    """Share of the budget from which it asks for a stop instead of a warning."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when there was not one update."""
        if not history.is_warmed_up(self.rows, self.share_of_budget):
            return None
        updates = history.recent("updates", len(history))
        if updates.size == 0 or np.any(updates > 0):
            return None
        return Finding(
            self.symptom,
            "stop" if history.budget_fraction_used >= self.stop_from else "warn",
            history.iteration(0),
            f"not one update in {len(history)} iterations",
        )
