"""Rule ``entropy_stuck_at_max``: the policy still chooses as if by lot."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import Between, Fraction, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_most
from tune_jobs.health.rules.frozen_policy import FrozenPolicy


@dataclasses.dataclass(frozen=True)
class EntropyStuckAtMax(Rule):
    """The entropy of the last third of the rows is at its maximum, and the score has not improved.

    Every policy begins there, and healthy ones leave it sooner than their score rises: so it waits
    for a quarter of the budget, and a score that tends upwards or an entropy that falls clears it.
    The trend is chance where the policy is ``uniform``: within 0.48 to 0.52 for two choices.
    Where the policy does not move at all ``frozen_policy`` says so, and this rule is silent.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: rows without the entropy are left
    out; nothing is said when fewer than half of the last third have it.
    """

    symptom: ClassVar[str] = "entropy_stuck_at_max"
    needs: ClassVar[tuple[str, ...]] = ("entropy_normalised", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "an entropy bonus that outweighs the advantages",
        "a reward that does not depend on the action, or an observation that says nothing about it",
        "advantages that are zero or noise",
    )
    remedy: ClassVar[Remedy] = (
        at_most("entropy_coef", 0.01),
        "run `rungwise check ENV` and see that the reward follows from the action and the "
        "observation",
    )

    normalised: Annotated[float, Fraction] = 0.98
    """Share of the maximal entropy above which a policy is still uniform."""
    uniform: Annotated[float, Fraction] = 0.999
    """Share of the maximal entropy above which no policy can be the cause of a rising score."""
    fall: Annotated[float, Fraction] = 0.01
    """Fall of the entropy within the last third, as a share of its maximum, that clears it."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, Between(6)] = 12
    """Rows before it judges (or half of the budget, if that is less)."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the late entropy is that of a lottery and stays so."""
        if (
            not history.is_warmed_up(self.rows, self.share_of_budget)
            or history.improved is not False
        ):
            return None
        window = math.ceil(len(history) / 3)
        recent = history.recent("entropy_normalised", window)
        if recent.size < window / 2 or recent.min() <= self.normalised:
            return None
        half = recent.size // 2
        falls = float(np.median(recent[:half]) - np.median(recent[half:])) if half else 0.0
        rises = history.trend > self.tau and recent.min() <= self.uniform
        if falls > self.fall or rises or not _moves(history):
            return None
        return Finding(
            self.symptom,
            "warn",
            history.find_onset(history.series("entropy_normalised") > self.normalised, window),
            f"entropy is {np.median(recent):.1%} of its maximum over the last {window} iterations "
            "and the score has not improved",
        )


def _moves(history: History) -> bool:
    """Whether nobody says already that the policy stands still."""
    return not history.has("entropy") or FrozenPolicy()(history) is None
