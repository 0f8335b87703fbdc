"""Rule ``performance_collapse``: the score is far below its start, or has lost what it gained."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.improvement import FloatArray
from tune_jobs.health.remedy import Remedy, lower, put


@dataclasses.dataclass(frozen=True)
class PerformanceCollapse(Rule):
    """All recent scores are clearly below the start, or most of what was gained is lost.

    Both are measured in the noise of a single row (by the median jump from row to row) and in the
    size of the start. Healthy runs dip, one by 86 % of its gain, and come back: so the fall must
    hold for a tenth of the budget, and by default it never ends a run.

    Warm-up: ``rows`` rows and the patience. NaN policy: rows without a finite score are left out.
    """

    symptom: ClassVar[str] = "performance_collapse"
    needs: ClassVar[tuple[str, ...]] = (SCORE,)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "the sign of the reward, the advantage or the loss is wrong (a fall from the start)",
        "an update too large to come back from",
        "an environment that changes while it is trained on",
    )
    remedy: ClassVar[Remedy] = (
        "if it fell from the start check the signs of reward and loss",
        lower("lr", 1e-4, "if it fell later lower {}"),
        lower("clip", 0.1),
        put("kl_limit", 0.02),
        "go back to the best checkpoint",
    )

    noise: Annotated[float, Positive] = 4.0
    """A fall below the start, or a gain, must be more than this many standard deviations."""
    relative: Annotated[float, Fraction] = 0.3
    """The same as a share of the start's size."""
    lost: Annotated[float, Fraction] = 0.8
    """Share of the gain that must be lost: 0.6 at a run's end, more while it may yet recover."""
    patience_fraction: Annotated[float, Fraction] = 0.1
    """Share of the budget for which the fall must hold."""
    rows: Annotated[int, AtLeastOne] = 3
    """Rows that make the start and the best; the patience is no shorter."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when all recent scores are where no healthy run stays."""
        known = np.flatnonzero(np.isfinite(history.scores))
        scores = history.scores[known]
        patience = max(self.rows, math.ceil(self.patience_fraction * history.budget))
        if scores.size < self.rows + patience:
            return None
        start, best = float(np.mean(scores[: self.rows])), self._best(scores)
        least = max(self.noise * _row_noise(scores), self.relative * abs(start))
        floor, from_what = start - least, "start"
        if best - start > least:
            floor, from_what = best - self.lost * (best - start), "best"
        if scores[-patience:].max() >= floor:
            return None
        above = np.flatnonzero(scores >= floor)
        if not above.size:  # numbers so large that their mean lies outside of them
            return None
        held = scores.size - 1 - int(above[-1])
        then, now = start if from_what == "start" else best, float(np.median(scores[-patience:]))
        sign = 1 if history.mode == "max" else -1
        return Finding(
            self.symptom,
            "warn",
            history.iteration(int(known[-held])),
            f"{history.score} went from {sign * then:.3g} at its {from_what} to {sign * now:.3g} "
            f"and has stayed there for {held} iterations",
        )

    def _best(self, scores: FloatArray) -> float:
        """The highest median of ``rows`` neighbours: a single lucky row is no gain."""
        windows = np.lib.stride_tricks.sliding_window_view(scores, self.rows)
        return float(np.median(windows, axis=1).max())


def _row_noise(scores: FloatArray) -> float:
    """The standard deviation of a row, from the median size of the jump to the next one."""
    return float(np.median(np.abs(np.diff(scores)))) * 1.4826 / math.sqrt(2)
