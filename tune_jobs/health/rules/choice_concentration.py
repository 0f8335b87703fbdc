"""Rule ``choice_concentration``: of all the choices there are, one is taken nearly always."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, ClassVar, cast

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, increase


@dataclasses.dataclass(frozen=True)
class ChoiceConcentration(Rule):
    """One choice takes far more than its even share, and the score has not improved.

    The measure is the excess over an even split among K choices, (share - 1/K) / (1 - 1/K): 60 %
    is much for one of five and nothing for one of two. The causal-learning post-mortem took 40 and
    60 % for sick, but the best policy known there gives 59 % to one target: so these are a note
    and a warning, and a stop needs the 95 % which no measured healthy run had without improving.
    While the score tends upwards, or all recent scores are above the first, it is a note: the
    choice may be the right one, and the few rows of a short run say no more.

    Warm-up: ``rows`` rows and ``steps`` environment steps. NaN policy: rows without the share are
    left out.
    """

    symptom: ClassVar[str] = "choice_concentration"
    needs: ClassVar[tuple[str, ...]] = ("choice_fraction_max", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "this choice is paid without advancing the task",
        "the entropy bonus is too small",
        "the first updates were too large to come back from",
    )
    remedy: ClassVar[Remedy] = (
        increase("entropy_coef", 0.03),
        increase("diversity_coef", 0.1),
        "look at what this choice earns when nothing else is done",
    )

    note: Annotated[float, Fraction] = 0.4
    """Excess over an even split above which it notes."""
    warn: Annotated[float, Fraction] = 0.6
    """Excess above which it warns."""
    stop: Annotated[float, Fraction] = 0.95
    """Excess above which it asks for a stop."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""
    above: Annotated[float, Fraction] = 0.05
    """The same: every recent score is above the first by more than this share of its size."""
    rows: Annotated[int, AtLeastOne] = 5
    """The median of this many last iterations is judged."""
    steps: Annotated[int, NonNegative] = 500
    """Environment steps before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when one choice has far more than its even share of the recent steps."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved is not False:
            return None
        shares = history.recent("choice_fraction_max", self.rows)
        latest = _latest_shares(history)
        even = 1 / len(latest) if latest else 0.0
        if shares.size == 0 or even == 1.0 or history.latest("env_steps") < self.steps:
            return None
        excess = (float(np.median(shares)) - even) / (1 - even)
        severity = self._severity(excess)
        if severity is None:
            return None
        rises = self._rises(history)
        per_row = (history.series("choice_fraction_max") - even) / (1 - even)
        which = f" (number {max(range(len(latest)), key=latest.__getitem__)})" if latest else ""
        return Finding(
            self.symptom,
            "note" if rises else severity,
            history.find_onset(per_row > self.note, self.rows),
            f"one choice{which} takes {np.median(shares):.0%} of the steps in the last "
            f"{self.rows} iterations and the score "
            + ("is rising, not yet beyond its noise" if rises else "has not improved"),
        )

    def _rises(self, history: History) -> bool:
        scores = history.scores[np.isfinite(history.scores)]
        first, recent = scores[0], scores[1:][-self.rows :]
        above = recent.size == self.rows and recent.min() > first + self.above * abs(first)
        return bool(above) or history.trend > self.tau

    def _severity(self, excess: float) -> Severity | None:
        if excess > self.stop:
            return "stop"
        if excess > self.warn:
            return "warn"
        return "note" if excess > self.note else None


def _latest_shares(history: History) -> Sequence[float]:
    """The share of each choice in the last row that has them; empty if none has."""
    for row in reversed(history.rows):
        shares = row.get("choice_fractions")
        if isinstance(shares, list | tuple):
            return cast("Sequence[float]", shares)
    return ()
