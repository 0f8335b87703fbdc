"""Rule ``choice_concentration``: the policy takes one choice nearly always."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, cast

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, increase
from tune_jobs.health.rule import Rule, grade


@dataclass(frozen=True)
class ChoiceConcentration(Rule):
    """One choice is far more frequent than an even split, and the score has not improved.

    The measure is the excess over an even split among K choices, (fraction - 1/K) / (1 - 1/K): 60 %
    is a lot for one of five choices and little for one of two. The causal-learning post-mortem
    called 40 and 60 % sick, but the best known policy there takes one target in 59 % of the steps.
    So these two limits give a note and a warning. A stop needs 95 %, which no measured healthy run
    reached without improving. While the score tends upwards, or all recent scores are above the
    first, the finding is a note: the choice may be the right one.

    Warm-up: ``rows`` rows and ``steps`` environment steps. NaN policy: rows without the metric are
    left out.
    """

    symptom: ClassVar[str] = "choice_concentration"
    needs: ClassVar[tuple[str, ...]] = ("choice_fraction_max", SCORE)
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "this choice is rewarded without advancing the task",
        "the entropy bonus is too small",
        "the first updates were too large to recover from",
    )
    remedy: ClassVar[Remedy] = (
        increase("entropy_coef", 0.03),
        increase("diversity_coef", 0.1),
        "measure the reward of a policy that only takes this choice",
    )

    note: Annotated[float, Fraction] = 0.4
    """Excess over an even split above which the finding is a note."""
    warn: Annotated[float, Fraction] = 0.6
    """Excess above which it is a warning."""
    stop: Annotated[float, Fraction] = 0.95
    """Excess above which it asks for a stop."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""
    above: Annotated[float, Fraction] = 0.05
    """Relative distance of every recent score from the first that also counts as a rise."""
    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations whose median is judged."""
    steps: Annotated[int, NonNegative] = 500
    """Environment steps before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when one choice has far more than an even split of the recent steps."""
        fraction = history.median("choice_fraction_max", self.rows)
        latest = _latest_fractions(history)
        # Logs of other tools may have the largest fraction alone: without the number of choices the
        # even split counts as 0, which makes the excess larger than it is.
        even = 1 / len(latest) if latest else 0.0
        # With a single choice the excess is 0/0, and there is nothing to concentrate on.
        if even == 1.0 or history.latest("env_steps") < self.steps:
            return None
        severity = grade((fraction - even) / (1 - even), self.note, self.warn, self.stop)
        if severity is None:
            return None
        rises = self._rises(history)
        excess = (history.series("choice_fraction_max") - even) / (1 - even)
        which = f" (number {max(range(len(latest)), key=latest.__getitem__)})" if latest else ""
        return self.report(
            "note" if rises else severity,
            history.find_onset(excess > self.note, self.rows),
            f"one choice{which} takes {fraction:.0%} of the steps in the last {self.rows} "
            "iterations and the score "
            + ("rises, but not yet beyond its noise" if rises else "has not improved"),
        )

    def _rises(self, history: History) -> bool:
        scores = history.scores[np.isfinite(history.scores)]
        # The first score is a noisy start, so all recent ones must be above it, not only their
        # mean.
        first, recent = scores[0], scores[1:][-self.rows :]
        above = recent.size == self.rows and recent.min() > first + self.above * abs(first)
        return bool(above) or history.trend > self.tau


def _latest_fractions(history: History) -> Sequence[float]:
    """Return the fraction of each choice in the last row that has them, else an empty tuple."""
    for row in reversed(history.rows):
        fractions = row.get("choice_fractions")
        if isinstance(fractions, list | tuple):
            return cast("Sequence[float]", fractions)
    return ()
