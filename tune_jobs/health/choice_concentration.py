"""Rule ``choice_concentration``: of all the choices there are, one is taken nearly always."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, ClassVar, cast

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity


@dataclasses.dataclass(frozen=True)
class ChoiceConcentration(Rule):
    """One choice takes far more than its even share, and the score has not improved.

    The measure is the excess over an even split among K choices, (share - 1/K) / (1 - 1/K): 60 %
    is much for one of five and nothing for one of two. The causal-learning post-mortem took 40 and
    60 % for sick, but the best policy known there gives 59 % to one target: so these are a note
    and a warning, and a stop needs the 95 % which no measured healthy run had without improving.

    Warm-up: ``rows`` rows and ``steps`` environment steps. NaN policy: rows without the share are
    left out.
    """

    symptom: ClassVar[str] = "choice_concentration"
    needs: ClassVar[tuple[str, ...]] = ("choice_share_max", SCORE)

    note: Annotated[float, Fraction] = 0.4
    """Excess over an even split above which it notes."""
    warn: Annotated[float, Fraction] = 0.6
    """Excess above which it warns."""
    stop: Annotated[float, Fraction] = 0.95
    """Excess above which it asks for a stop."""
    rows: Annotated[int, AtLeastOne] = 5
    """The median of this many last iterations is judged."""
    steps: Annotated[int, NonNegative] = 500
    """Environment steps before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when one choice has far more than its even share of the recent steps."""
        if not history.past(self.rows, 0.0) or history.improved is not False:
            return None
        shares = history.recent("choice_share_max", self.rows)
        latest = _latest_shares(history)
        even = 1 / len(latest) if latest else 0.0
        if shares.size == 0 or even == 1.0 or history.latest("env_steps") < self.steps:
            return None
        excess = (float(np.median(shares)) - even) / (1 - even)
        severity = self._severity(excess)
        if severity is None:
            return None
        per_row = (history.series("choice_share_max") - even) / (1 - even)
        which = f" (number {max(range(len(latest)), key=latest.__getitem__)})" if latest else ""
        return Finding(
            self.symptom,
            severity,
            history.since(per_row > self.note, self.rows),
            f"one choice{which} takes {np.median(shares):.0%} of the steps in the last "
            f"{self.rows} iterations and the score has not improved",
            "Raise the entropy coefficient or reward diversity; look at whether this choice is "
            "paid without advancing the task.",
        )

    def _severity(self, excess: float) -> Severity | None:
        if excess > self.stop:
            return "stop"
        if excess > self.warn:
            return "warn"
        return "note" if excess > self.note else None


def _latest_shares(history: History) -> Sequence[float]:
    """The share of each choice in the last row that has them; empty if none has."""
    for row in reversed(history.rows):
        shares = row.get("choice_shares")
        if isinstance(shares, list | tuple):
            return cast("Sequence[float]", shares)
    return ()
