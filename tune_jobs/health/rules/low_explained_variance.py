"""Rule ``low_explained_variance``: the value function explains nothing of the returns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Between, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, increase
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class LowExplainedVariance(Rule):
    """The explained variance of the last two thirds of the rows is near zero without learning.

    Near zero alone flags 14 of 36 healthy runs: saturated returns leave no variance to explain.
    So either the score has neither improved nor tends upwards, or (a note only) the value loss has
    grown by more than ``growth``: at most 1.29 in healthy runs, 2.4 in one whose value function was
    not trained. By default the rule warns and never ends a run: a policy can learn without a
    critic.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: NaN (all returns equal) is left out;
    no finding when fewer than half of the rows have a number.
    """

    symptom: ClassVar[str] = "low_explained_variance"
    needs: ClassVar[tuple[str, ...]] = ("explained_variance", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "the observation does not contain what the return depends on",
        "rewards whose size is out of reach for the value function",
        "the value function learns too slowly or gets no gradient",
    )
    remedy: ClassVar[Remedy] = (
        "add to the observation what the return depends on (time left, goal)",
        SCALED_REWARDS,
        increase("value_coef", 1, "then raise {}"),
        increase("epochs", 8),
    )

    median: Annotated[float, Between(-1, 1)] = 0.05
    """Explained variance below which the median row is sick."""
    high: Annotated[float, Between(-1, 1)] = 0.2
    """Explained variance that the 90th percentile of the rows must not reach either."""
    growth: Annotated[float, Positive] = 2.0
    """Value loss of the last third over that of the first rows, for a run that has improved."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 15
    """Rows before the rule judges, at most half of the budget."""
    budget_fraction: Annotated[float, Fraction] = 0.2
    """Fraction of the budget that must be used before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when even the better rows explain almost nothing."""
        if history.improved is None:
            return None
        # The first third is left out, because every critic begins by explaining nothing.
        window = math.ceil(len(history) * 2 / 3)
        recent = history.recent("explained_variance", window)
        # Mostly NaN means that all returns are equal: there is no variance to explain.
        if recent.size < window / 2:
            return None
        late = float(np.median(recent))
        # The 90th percentile as well: a critic that is good in a tenth of the rows does learn.
        if late >= self.median or float(np.quantile(recent, 0.9)) >= self.high:
            return None
        growth = _compute_growth(history)
        # With learning, a low value is usually a saturated return. A growing loss is what separates
        # the two.
        learns = history.improved or history.trend > self.tau
        if learns and not growth > self.growth:
            return None
        reason = (
            f"the value loss grew {growth:.1f} times" if learns else "the score has not improved"
        )
        return self.report(
            "note" if learns else "stop",
            history.find_onset(history.series("explained_variance") < self.median, window),
            f"explained variance is {late:.2g} over the last {window} iterations and {reason}",
        )


def _compute_growth(history: History) -> float:
    """Return the value loss of the last third of the rows over that of the first three, or NaN."""
    losses = history.recent("value_loss", len(history))
    # A ratio needs a positive start; a loss of zero means that there was no reward yet.
    if losses.size < 6 or np.median(losses[:3]) <= 0:
        return math.nan
    return float(np.median(losses[-math.ceil(losses.size / 3) :]) / np.median(losses[:3]))
