"""Rule ``no_improvement``: most of the budget is gone and the score is where it began."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, put


@dataclasses.dataclass(frozen=True)
class NoImprovement(Rule):
    """The score has not improved, shows no upward trend, and its best is not beaten any more.

    "The best not beaten for 20 evaluations" (causal-learning and thoughts post-mortems) alone
    would also end runs that have converged, as Tune's plateau stopper does to 23 of 43 healthy
    runs; so the score must in addition never have improved. A slow run whose score tends upwards
    (tau above 0.2) makes progress. A run that starts at its optimum cannot be told apart. In pure
    noise the best of all rows is among the last 30 % in three runs of ten: so it is beaten only by
    more than the scores' standard deviation, which in a run that makes no progress is noise. And
    the mean of a few lucky episodes is no best: rows are taken together until they hold
    ``episodes`` (where these are counted), and those that do not yet are left out.

    Warm-up: ``rows`` rows and ``warn_from`` of the budget. NaN policy: rows without a finite score
    are left out.
    """

    symptom: ClassVar[str] = "no_improvement"
    needs: ClassVar[tuple[str, ...]] = (SCORE,)
    causes: ClassVar[tuple[str, ...]] = (
        "an environment or reward from which nothing can be learnt, if all trials are like this",
        "this trial's learning rate or coefficients, if it is alone",
        "a task that needs more iterations than the budget has",
    )
    remedy: ClassVar[Remedy] = (
        "look first at what else was found: it is the likelier cause",
        "run `rungwise check ENV`, above all if all trials are like this",
        SCALED_REWARDS,
        put("lr", 3e-4, "go back to {}"),
        put("entropy_coef", 0.01, "go back to {}"),
    )

    episodes: Annotated[int, AtLeastOne] = 20
    """Finished episodes behind a score that may count as the best."""
    min_delta: Annotated[float, NonNegative] = 0.01
    """The best is beaten by more than this share of its own size (and more than the noise)."""
    patience: Annotated[int, AtLeastOne] = 20
    """Rows for which the best must stand."""
    patience_fraction: Annotated[float, Fraction] = 0.3
    """The patience is never longer than this share of the budget."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau above which a score that has not improved yet is on its way."""
    rows: Annotated[int, AtLeastOne] = 30
    """Rows before it judges (or half of the budget, if that is less)."""
    warn_from: Annotated[float, Fraction] = 0.4
    """Share of the budget from which it warns."""
    stop_from: Annotated[float, Fraction] = 0.8
    """Share of the budget from which it asks for a stop: a healthy BipedalWalker run stood still
    for 70 % of its iterations."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the best score has stood too long at the level of the start."""
        if not history.is_warmed_up(self.rows, self.warn_from) or history.improved is not False:
            return None
        last = self._last_record(history)
        if last is None or history.trend > self.tau:
            return None
        record, best = last
        stood = len(history) - 1 - record
        if stood < min(self.patience, math.ceil(self.patience_fraction * history.budget)):
            return None
        best = best if history.mode == "max" else -best
        return Finding(
            self.symptom,
            "stop" if history.budget_fraction_used >= self.stop_from else "warn",
            history.iteration(record),
            f"the best {history.score} ({best:.3g}, iteration {history.iteration(record)}) has not "
            f"been beaten by {self.min_delta:.0%} for {stood} iterations and is within the noise "
            "of the start",
        )

    def _last_record(self, history: History) -> tuple[int, float] | None:
        """The row at which the best score was last clearly beaten, and that score."""
        pooled = self._pooled(history)
        if not pooled:
            return None
        noise = float(np.std([score for _, score in pooled]))
        (record, best), *later = pooled
        for row, score in later:
            if score > best + max(self.min_delta * abs(best), noise):
                record, best = row, score
        return record, best

    def _pooled(self, history: History) -> list[tuple[int, float]]:
        """Means over enough episodes, each with the last row that it is made of."""
        # A row whose episodes are not counted stands for itself.
        counts = np.nan_to_num(history.behind, nan=self.episodes)
        pooled: list[tuple[int, float]] = []
        held = total = 0.0
        for row, (score, count) in enumerate(zip(history.scores, counts, strict=True)):
            if math.isfinite(score):
                held, total = held + count, total + count * score
            if held >= self.episodes:
                pooled.append((row, float(total / held)))
                held = total = 0.0
        return pooled
