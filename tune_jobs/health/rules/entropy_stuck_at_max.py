"""Rule ``entropy_stuck_at_max``: the policy is still close to uniform."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import Between, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, at_most
from tune_jobs.health.rule import Rule
from tune_jobs.health.rules.frozen_policy import is_policy_frozen


@dataclass(frozen=True)
class EntropyStuckAtMax(Rule):
    """The entropy of the last third of the rows is at its maximum, and the score has not improved.

    Every policy starts there, and the entropy of healthy ones falls before their score rises. So
    the rule waits for a fifth of the budget, and a score that tends upwards or a falling entropy
    clears the run. Above ``uniform`` (for two choices, probabilities within 0.48 and 0.52) a trend
    of the score cannot come from the policy and is ignored. Where the policy does not move at all,
    ``frozen_policy`` reports it instead.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without the entropy are left
    out; no finding when fewer than half of the last third have it.
    """

    symptom: ClassVar[str] = "entropy_stuck_at_max"
    needs: ClassVar[tuple[str, ...]] = ("entropy_normalised", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "an entropy bonus that outweighs the advantages",
        "a reward that does not depend on the action, or an observation without information on it",
        "advantages that are zero or noise",
    )
    remedy: ClassVar[Remedy] = (
        at_most("entropy_coef", 0.01),
        "run `rungwise check ENV` and check that the reward depends on the action and the "
        "observation",
    )

    normalised: Annotated[float, Fraction] = 0.98
    """Fraction of the maximal entropy above which a policy is close to uniform."""
    uniform: Annotated[float, Fraction] = 0.999
    """Fraction of the maximal entropy above which no policy can be the cause of a rising score."""
    fall: Annotated[float, Fraction] = 0.01
    """Fall of the entropy within the last third, as a fraction of its maximum, that clears it."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, Between(6)] = 12
    """Rows before the rule judges, at most half of the budget."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget that must be used before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when the late entropy is at its maximum and does not fall."""
        window = math.ceil(len(history) / 3)
        recent = history.recent("entropy_normalised", window)
        # Every row of the window must be near the maximum: one below it shows a policy that can
        # move.
        if recent.size < window / 2 or recent.min() <= self.normalised:
            return None
        half = recent.size // 2
        # Learning shows in the entropy before it shows in the score, so a fall of 1 % is enough.
        fall = float(np.median(recent[:half]) - np.median(recent[half:]))
        # A uniform policy cannot cause a trend, so there the trend is chance or a drifting
        # environment.
        rises = history.trend > self.tau and recent.min() <= self.uniform
        # A frozen policy keeps its initial entropy: that finding names the cause, this one a
        # consequence.
        if fall > self.fall or rises or is_policy_frozen(history):
            return None
        return self.report(
            "warn",
            history.find_onset(history.series("entropy_normalised") > self.normalised, window),
            f"entropy is {np.median(recent):.1%} of its maximum over the last {window} iterations "
            "and the score has not improved",
        )
