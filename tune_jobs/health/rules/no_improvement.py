"""Rule ``no_improvement``: most of the budget is used and the score is where it began."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.improvement import pool_scores, root_sum_of_squares
from tune_jobs.health.remedy import SCALED_REWARDS, Remedy, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class NoImprovement(Rule):
    """The score has not improved, does not tend upwards, and its best has not been beaten lately.

    "The best not beaten for 20 evaluations" (causal-learning and thoughts post-mortems) alone
    would also end converged runs, as Tune's plateau stopper does to 23 of 43 healthy runs; so the
    score must in addition never have improved. A slow run whose score tends upwards (tau above 0.2)
    makes progress. A run that starts at its optimum cannot be distinguished.

    In pure noise the best of all rows is among the last 30 % in three runs of ten. So a best is
    only beaten by more than the standard deviation of the scores, which is noise in a run without
    progress. The mean of a few lucky episodes does not count as a best: rows are pooled until they
    hold ``episodes`` episodes (where these are counted), and an incomplete pool is left out.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without a finite score are
    left out.
    """

    symptom: ClassVar[str] = "no_improvement"
    needs: ClassVar[tuple[str, ...]] = (SCORE,)
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "an environment or reward from which nothing can be learnt, if all trials are like this",
        "the learning rate or coefficients of this trial, if the others improve",
        "a task that needs more iterations than the budget has",
    )
    remedy: ClassVar[Remedy] = (
        "first treat the other findings: they are the likelier cause",
        "run `rungwise check ENV`, above all if all trials are like this",
        SCALED_REWARDS,
        put("lr", 3e-4, "try {}"),
        put("entropy_coef", 0.01, "go back to {}"),
    )

    episodes: Annotated[int, AtLeastOne] = 20
    """Number of finished episodes whose mean may count as the best."""
    min_delta: Annotated[float, NonNegative] = 0.01
    """Fraction of its size by which the best must be beaten (and by more than the noise)."""
    patience: Annotated[int, AtLeastOne] = 20
    """Number of later scores for which the best must stand."""
    patience_fraction: Annotated[float, Fraction] = 0.3
    """Upper limit of the patience as a fraction of all scores of the budget."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 30
    """Rows before the rule judges, at most half of the budget."""
    budget_fraction: Annotated[float, Fraction] = 0.4
    """Fraction of the budget from which it warns."""
    stop_from: Annotated[float, Fraction] = 0.8
    """Fraction of the budget from which it asks for a stop: a healthy BipedalWalker run was flat
    for 70 % of its iterations."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the best score has stood too long at the level of the start."""
        last = self._find_last_record(history)
        if last is None or history.trend > self.tau or history.had_learnt:
            return None
        record, best = last
        # In scores, like the patience: a pool is counted at its last row.
        stood = int(np.count_nonzero(history.score_rows > record))
        if stood < min(self.patience, math.ceil(self.patience_fraction * history.score_budget)):
            return None
        since = history.iteration(record)
        best = best if history.mode == "max" else -best
        return self.report(
            "stop" if history.budget_fraction_used >= self.stop_from else "warn",
            since,
            f"the best {history.score} ({best:.3g}, iteration {since}) has not been beaten by "
            f"{self.min_delta:.0%} for {history.iteration(-1) - since} iterations and is within "
            "the noise of the start",
        )

    def _find_last_record(self, history: History) -> tuple[int, float] | None:
        """Return the row at which the best score was last clearly beaten, and that score."""
        # A row whose episodes are not counted is a pool by itself.
        counts = np.nan_to_num(history.episodes_per_score, nan=self.episodes)
        rows, scores, _ = pool_scores(history.scores, counts, self.episodes)
        if not rows.size:
            return None
        # A real gain would inflate this spread, but a run with one has usually improved and is not
        # judged.
        noise = root_sum_of_squares(scores - scores.mean()) / math.sqrt(scores.size)
        record, best = int(rows[0]), float(scores[0])
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
            if score > best + max(self.min_delta * abs(best), noise):
                record, best = row, score
        return record, best
