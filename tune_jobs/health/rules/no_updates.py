"""Rule ``no_updates``: environment steps are taken but the optimiser never runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class NoUpdates(Rule):
    """The number of optimiser steps has been zero in every row.

    Agents with a replay memory fill it first, for 1,000 to 50,000 steps by their defaults: so the
    rule asks for a stop only from half of the budget.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without the count are left out.
    """

    symptom: ClassVar[str] = "no_updates"
    needs: ClassVar[tuple[str, ...]] = ("updates",)
    can_recover: ClassVar[bool] = False
    causes: ClassVar[tuple[str, ...]] = (
        "learning starts after more steps than the run has",
        "a batch larger than what is ever collected",
        "a training step that is skipped, or never called",
    )
    remedy: ClassVar[Remedy] = (
        "begin to learn after at most a tenth of the steps (in SB3 learning_starts)",
        "check that a batch is no larger than what is collected by then",
    )

    rows: Annotated[int, AtLeastOne] = 8
    """Rows before the rule judges, at most half of the budget."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget that must be used before the rule judges."""
    stop_from: Annotated[float, Fraction] = 0.5
    """Fraction of the budget from which it asks for a stop instead of a warning."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when there has been no update."""
        updates = history.recent("updates", len(history))
        # A missing count is no evidence: many trainers do not log it.
        if updates.size == 0 or np.any(updates > 0):
            return None
        return self.report(
            "stop" if history.budget_fraction_used >= self.stop_from else "warn",
            history.iteration(0),
            f"no update in {len(history)} iterations",
        )
