"""Rule ``low_explained_variance``: the value function explains nothing of the returns."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Between, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, increase


@dataclasses.dataclass(frozen=True)
class LowExplainedVariance(Rule):
    """The explained variance of the last two thirds of the rows is near zero, nothing is learnt.

    Near zero alone flags 14 of 36 healthy runs: saturated returns leave no variance to explain.
    So either the score has neither improved nor tends upwards, or (a note only) the value loss has
    grown by more than ``growth``: 1.29 at most in healthy runs, 2.4 in one whose value function was
    not trained.
    By default it warns and never ends a run: a policy can learn without a critic.

    Warm-up: ``rows`` rows and ``share_of_budget``. NaN policy: NaN (returns all equal) is left
    out; nothing is said when fewer than half of the rows have a number.
    """

    symptom: ClassVar[str] = "low_explained_variance"
    needs: ClassVar[tuple[str, ...]] = ("explained_variance", SCORE)
    causes: ClassVar[tuple[str, ...]] = (
        "the observation does not tell what the return depends on",
        "rewards of a size that the value function does not reach",
        "the value function learns too slowly or gets no gradient",
    )
    remedy: ClassVar[Remedy] = (
        "add to the observation what the return depends on (time left, goal)",
        SCALED_REWARDS,
        increase("value_coef", 1, "then raise {}"),
        increase("epochs", 8),
    )
    highest: ClassVar[Severity] = "warn"

    median: Annotated[float, Between(-1, 1)] = 0.05
    """Explained variance below which the median row is sick."""
    high: Annotated[float, Between(-1, 1)] = 0.2
    """Explained variance that the best tenth of the rows must not reach either."""
    growth: Annotated[float, Positive] = 2.0
    """Value loss of the last third over that of the first rows, for a run that has improved."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 15
    """Rows before it judges (or half of the budget, if that is less)."""
    share_of_budget: Annotated[float, Fraction] = 0.2
    """Share of the budget spent before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when even the better rows explain next to nothing."""
        if not history.is_warmed_up(self.rows, self.share_of_budget) or history.improved is None:
            return None
        window = math.ceil(len(history) * 2 / 3)
        recent = history.recent("explained_variance", window)
        if recent.size < window / 2:
            return None
        late = float(np.median(recent))
        if late >= self.median or float(np.quantile(recent, 0.9)) >= self.high:
            return None
        growth = _growth(history)
        learns = history.improved or history.trend > self.tau
        if learns and not growth > self.growth:
            return None
        learnt = (
            f"the value loss grew {growth:.1f} times" if learns else "the score has not improved"
        )
        return Finding(
            self.symptom,
            "note" if learns else "stop",
            history.find_onset(history.series("explained_variance") < self.median, window),
            f"explained variance is {late:.2g} over the last {window} iterations and {learnt}",
        )


def _growth(history: History) -> float:
    """Value loss of the last third of the rows over that of the first three; NaN if unknown."""
    losses = history.series("value_loss")
    losses = losses[np.isfinite(losses)]
    if losses.size < 6 or np.median(losses[:3]) <= 0:
        return math.nan
    return float(np.median(losses[-math.ceil(losses.size / 3) :]) / np.median(losses[:3]))
