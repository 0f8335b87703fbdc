"""Rule ``performance_collapse``: the score is far below its start or has lost its gain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.improvement import FloatArray
from tune_jobs.health.remedy import Remedy, increase, lower, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class PerformanceCollapse(Rule):
    """All recent scores are clearly below the start, or most of the gain is lost.

    Both are measured against the noise of a single row (from the median jump between rows) and the
    size of the start. Healthy runs dip, one by 86 % of its gain, and recover: so the fall must last
    for a tenth of the budget, and by default the rule never ends a run.

    Warm-up: ``rows`` rows and the patience. NaN policy: rows without a finite score are left out.
    """

    symptom: ClassVar[str] = "performance_collapse"
    needs: ClassVar[tuple[str, ...]] = (SCORE,)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "the sign of the reward, the advantage or the loss is wrong (a fall from the start)",
        "an update too large to recover from",
        "an environment that changes during training",
    )
    remedy: ClassVar[Remedy] = (
        "if the score fell from the start check the signs of reward and loss",
        lower("lr", 1e-4, "if it fell later lower {}"),
        lower(
            "clip",
            0.1,
            without=increase("beta", 0.1, "keep the policy closer to its reference: raise {}"),
        ),
        put("kl_limit", 0.02),
        "go back to the best checkpoint",
    )

    noise: Annotated[float, Positive] = 4.0
    """Standard deviations that a fall below the start, or a gain, must exceed."""
    relative: Annotated[float, Fraction] = 0.3
    """Fraction of the start's size that it must exceed as well."""
    lost: Annotated[float, Fraction] = 0.8
    """Fraction of the gain that must be lost; healthy runs recover from smaller losses."""
    patience_fraction: Annotated[float, Fraction] = 0.1
    """Fraction of the budget for which the fall must last."""
    rows: Annotated[int, AtLeastOne] = 3
    """Number of rows that define the start and the best; also the shortest patience."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when all recent scores are lower than any healthy run stays."""
        known = history.score_rows
        scores = history.scores[known]
        patience = max(self.rows, math.ceil(self.patience_fraction * history.score_budget))
        if scores.size < self.rows + patience:
            return None
        # The start is a mean and the best a median: both must not hang on one lucky row.
        start, best = float(np.mean(scores[: self.rows])), self._find_best(scores)
        least = max(self.noise * _estimate_row_noise(scores), self.relative * abs(start))
        # Without a clear gain there is nothing to lose, so the reference is the start. A wrong sign
        # of the loss is found this way.
        floor, reference, level = start - least, "start", start
        if best - start > least:
            floor, reference, level = best - self.lost * (best - start), "best", best
        # All recent rows must be below: healthy dips of up to 86 % of the gain have recovered.
        if scores[-patience:].max() >= floor:
            return None
        above = np.flatnonzero(scores >= floor)
        if not above.size:  # the mean of floats near overflow can lie above all of them
            return None
        rows_below = scores.size - 1 - int(above[-1])
        now = float(np.median(scores[-patience:]))
        sign = 1 if history.mode == "max" else -1
        since = history.iteration(int(known[-rows_below]))
        return self.report(
            "warn",
            since,
            f"{history.score} went from {sign * level:.3g} at its {reference} to "
            f"{sign * now:.3g} and has stayed there since iteration {since}",
        )

    def _find_best(self, scores: FloatArray) -> float:
        """Return the highest median of ``rows`` neighbours: a single lucky row is no gain."""
        windows = np.lib.stride_tricks.sliding_window_view(scores, self.rows)
        return float(np.median(windows, axis=1).max())


def _estimate_row_noise(scores: FloatArray) -> float:
    """Return the standard deviation of a row, from the median size of the jump to the next."""
    # Jumps instead of deviations from the mean, since a trend is not noise. The factors convert a
    # median to a standard deviation and a jump to one row.
    return float(np.median(np.abs(np.diff(scores)))) * 1.4826 / math.sqrt(2)
