"""The rule for runs that have brought nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np

from rungwise.episode_pool import pool_episodes
from rungwise.health.finding import Finding, Severity
from rungwise.health.history import SCORE, History
from rungwise.health.improvement import (
    CONSTANT,
    FloatArray,
    IndexArray,
    fit_line,
    is_constant,
    pool_scores,
    root_sum_of_squares,
    slide_mean,
)
from rungwise.health.remedy import SCALED_REWARDS, put
from rungwise.health.rule import Rule
from rungwise.validation import AtLeastOne, Fraction, NonNegative, Positive

MEDIAN = 0.5
"""Share of the means over a tenth that may be better than the latest: with more it is in a dip."""
MOST_ALIKE = 0.95
"""Autocorrelation of neighbouring rows that is taken into account at most."""


class Trend(NamedTuple):
    """A straight line through scores."""

    slope: float
    """Gain from one score to the next."""
    error: float
    """Standard error of the slope."""
    noise: float
    """Standard deviation of one score around the line."""


def fit_trend(scores: FloatArray) -> Trend:
    """Fit a line to scores [R]; to fewer than three one of which nothing is known.

    Neighbouring scores of a run resemble each other, so that its error is larger than that of as
    many independent ones: by the autocorrelation a of the residuals, as if there were only
    (1 - a) / (1 + a) of them (Bartlett 1946).
    """
    if scores.size < 3:
        return Trend(0.0, math.inf, math.inf)
    slope, residuals = fit_line(scores)
    size = root_sum_of_squares(residuals)
    noise = size / math.sqrt(scores.size - 2)
    scaled = residuals / (size or 1.0)
    alike = min(max(float(scaled[1:] @ scaled[:-1]), 0.0), MOST_ALIKE)
    spread = math.sqrt((scores.size**3 - scores.size) / 12 * ((1 - alike) / (1 + alike)))
    return Trend(slope, noise / spread, noise)


@dataclass(frozen=True)
class NoImprovement(Rule):
    """The score has not improved, does not tend upwards, and its best has not been beaten lately.

    "The best not beaten for 20 evaluations" (causal-learning and thoughts post-mortems) alone
    would also end converged runs, as Tune's plateau stopper does to 23 of 43 healthy runs; so the
    score must in addition never have improved. A slow run whose score tends upwards (tau above 0.2)
    makes progress. A run that starts at its optimum is known by its ceiling only.

    In pure noise the best of all rows is among the last 30 % in three runs of ten. So a best is
    only beaten by more than the standard deviation of the scores, which is noise in a run without
    progress. The mean of a few lucky episodes does not count as a best: rows are pooled until they
    hold ``episodes`` episodes (where these are counted), and an incomplete pool is left out. Fewer
    than ``pools`` say too little: a run that had learnt to dock ships was ended because none of its
    six pools was clearly above the first, which already held what it had learnt.

    Pools that scatter as much as they have risen show no record either. Where the spread of the
    episodes is known, all those after the first pool are compared with its own: a crane had learnt
    from -2.1 to -.6 million, with means of 20 episodes that scatter by .7 million. Where the
    last tenth of the budget has lost that gain it warns, and stops nothing that may recover.

    Where that spread is not known it is a note until a stop is due or the run is over.

    It asks for a stop only late and where nothing is left to hope for: the upper limit of the trend
    is not positive, or it is not itself and the scores scatter by less than ``min_delta``; the
    later half does not rise;
    and the latest tenth of the budget is as good as most before, since a run in a dip may come out
    of it. So runs of noise are mostly warned of. Of 8,814 published runs the rule ended 564 and 23
    of them wrongly when it compared single scores with their spread.
    """

    symptom = "no_improvement"
    title = "Most of the budget is used and the score is where it began"
    needs = (SCORE,)
    stagnant_only = True
    silence_disproves = True
    causes = (
        "an environment or reward from which nothing can be learnt, if all trials are like this",
        "the learning rate or coefficients of this trial, if the others improve",
        "a task that needs more iterations than the budget has",
    )
    remedy = (
        "first treat the other findings: they are the likelier cause",
        "run `rungwise check ENV`, above all if all trials are like this",
        SCALED_REWARDS,
        put("lr", 3e-4, "try {}"),
        put("entropy_coef", 0.01, "go back to {}"),
    )

    episodes: Annotated[int, AtLeastOne] = 20
    """Number of finished episodes whose mean may count as the best."""
    pools: Annotated[int, AtLeastOne] = 10
    """Number of such means below which it says nothing."""
    errors: Annotated[float, Positive] = 2.0
    """Standard errors by which the episodes after the first pool must be better to be a gain (in
    runs without one they were at most 1.8), and beyond which the trend of the scores rises."""
    min_delta: Annotated[float, NonNegative] = 0.01
    """Fraction of its size by which the best must be beaten (and by more than the noise)."""
    patience: Annotated[int, AtLeastOne] = 20
    """Number of later scores for which the best must stand."""
    patience_fraction: Annotated[float, Fraction] = 0.3
    """Upper limit of the patience as a fraction of all scores of the budget."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 30
    """Number of rows before it judges, and of independent scores before it asks for a stop."""
    budget_fraction: Annotated[float, Fraction] = 0.4
    """Fraction of the budget from which it judges."""
    stop_from: Annotated[float, Fraction] = 0.8
    """Fraction of the budget from which it asks for a stop: a healthy BipedalWalker run was flat
    for 70 % of its iterations."""
    margin: Annotated[float, NonNegative] = 1.0
    """Standard errors that the upper limit of a trend is above it."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the best score has stood too long at the level of the start."""
        # A row whose episodes are not counted is a pool by itself.
        progress = history.progress
        counts = np.nan_to_num(progress.episodes_per_score, nan=self.episodes)
        rows, scores, _ = pool_scores(progress.scores, counts, self.episodes)
        if rows.size < self.pools or progress.trend > self.tau or progress.had_learnt:
            return None
        trend = fit_trend(progress.independent_scores)
        if trend.slope > self.errors * trend.error:
            return None
        gained = self._has_gained(history, rows[0] + 1)
        if gained and self._average_tenths(history)[-1] > scores[0]:
            return None
        record, best = self._find_last_record(rows, scores)
        # In scores, like the patience: a pool is counted at its last row.
        stood = int(np.count_nonzero(progress.score_rows > record))
        if stood < min(self.patience, math.ceil(self.patience_fraction * history.score_budget)):
            return None
        since = history.iteration(record)
        best *= progress.sign
        return self.report(
            self._choose_severity(history, trend, gained),
            since,
            # Later scores may be higher: only those clearly higher make a record.
            f"the last clear record of {history.score} ({best:.3g}, iteration {since}) has not "
            f"been beaten by {self.min_delta:.0%} and one standard deviation of the scores for "
            f"{history.iteration(-1) - since} iterations",
        )

    def _choose_severity(self, history: History, trend: Trend, gained: bool) -> Severity:
        late = history.budget_fraction_used >= self.stop_from
        # A policy that has been clearly better and fell may recover.
        if late and not gained and self._is_hopeless(history, trend):
            return "stop"
        has_spread = history.score == "return_mean" and history.has("return_std")
        return "warn" if has_spread or history.is_over else "note"

    def _has_gained(self, history: History, first: int) -> bool:
        """Return whether the episodes after the ``first`` rows are better by more than noise."""
        if history.score != "return_mean":  # the scatter of no other metric is reported
            return False
        spreads, counts = history.series("return_std"), history.progress.episodes_per_score
        columns = (history.progress.scores, spreads, counts)
        start, start_error = pool_episodes(*(values[:first] for values in columns))
        later, later_error = pool_episodes(*(values[first:] for values in columns))
        gain, noise = later - start, self.errors * math.hypot(start_error, later_error)
        # NaN, where the scatter is not known, is larger than nothing.
        return gain > noise and gain > self.min_delta * abs(start)

    def _find_last_record(self, rows: IndexArray, scores: FloatArray) -> tuple[int, float]:
        """Return the row at which the best of these pools [P] was last clearly beaten, and that."""
        # A real gain would inflate this spread, but has usually ended the judgement before.
        noise = root_sum_of_squares(scores - scores.mean()) / math.sqrt(scores.size)
        record, best = int(rows[0]), float(scores[0])
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
            if score > best + max(self.min_delta * abs(best), noise):
                record, best = row, score
        return record, best

    def _is_hopeless(self, history: History, trend: Trend) -> bool:
        """Return whether the rest of the budget could bring nothing, by all that is known."""
        scores = history.progress.independent_scores
        # A reward that is found late looks constant before: `constant_reward` decides.
        if scores.size < self.rows or is_constant(scores):
            return False
        size, later = float(np.abs(scores).max()), fit_trend(scores[scores.size // 2 :])
        rounding = CONSTANT * size / scores.size  # of a fit to scores that are nearly equal
        is_quiet = trend.noise <= self.min_delta * size and trend.slope <= rounding
        if trend.slope + self.margin * trend.error > rounding and not is_quiet:
            return False
        means = self._average_tenths(history)
        in_dip = np.mean(means > means[-1]) > MEDIAN
        return not (in_dip or later.slope > self.margin * later.error)

    @staticmethod
    def _average_tenths(history: History) -> FloatArray:
        """Return the means [at least 1] of neighbouring scores, over a tenth of the budget each."""
        scores = history.progress.scores[history.progress.score_rows]
        size = min(scores.size, max(1, history.score_budget // 10))
        return slide_mean(scores, size)
