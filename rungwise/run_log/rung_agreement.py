"""How well the first rung of a sweep predicted the next."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rungwise.formatting import format_percent
from rungwise.run_log.trial_outcome import TrialOutcome, average_later_half, to_finite_float

FEWEST = 8
"""Trials at both rungs below which nothing is said."""
LOW, TIED = 0.2, 0.9
"""Rank correlation below which, and share of equal scores above which, stopping was a risk.

``make bench-landscapes`` measures what sweeps lost by stopping that are flagged by this, and what
the others did."""


@dataclass(frozen=True)
class RungAgreement:
    """The first rung compared with the second, over the trials that reached both.

    Those are the better ones, so that the correlation is lower than it is over all trials.
    """

    rung: int
    """Iteration of the first rung."""
    trials: int
    """Trials that reached the second rung."""
    correlation: float
    """Spearman's rank correlation of their scores; NaN where all are equal."""
    tied: float
    """Share of the trials at the first rung whose score another one had, too."""

    @property
    def is_low(self) -> bool:
        """Whether stopping at the first rung was a risk: the symptom ``uninformative_rungs``."""
        return self.tied > TIED or not self.correlation >= LOW

    @property
    def sentence(self) -> str:
        """The figure in words."""
        if self.tied > TIED:
            text = f"{format_percent(self.tied)} of the trials had equal scores at rung {self.rung}"
        else:
            text = (
                f"rung {self.rung} predicted the next one with rank correlation "
                f"{self.correlation:.2f} ({self.trials} trials)"
            )
        return text + (": early stopping was risky here" if self.is_low else "")

    def as_dict(self) -> dict[str, Any]:
        """Return the answer of ``--json``."""
        return {
            "rung": self.rung,
            "trials": self.trials,
            "rank_correlation": to_finite_float(self.correlation),
            "tied": self.tied,
            "warning": "uninformative_rungs" if self.is_low else "",
        }


def measure_rung_agreement(
    trials: Iterable[TrialOutcome], rungs: Sequence[int]
) -> RungAgreement | None:
    """Return how well the first rung of a sweep predicts the second; None for too few trials."""
    if len(rungs) < 2:
        return None
    pairs = [[score_at(trial, rung) for rung in rungs[:2]] for trial in trials if not trial.repeats]
    at_first = np.array([first for first, _ in pairs if first is not None])
    both = np.array([(first, second) for first, second in pairs if None not in (first, second)])
    if len(both) < FEWEST:
        return None
    _, counts = np.unique(at_first, return_counts=True)
    tied = float(counts[counts > 1].sum() / len(at_first))
    return RungAgreement(rungs[0], len(both), correlate_ranks(*both.T), tied)


def score_at(trial: TrialOutcome, rung: int) -> float | None:
    """Return what a trial was ranked by at a rung; None if it did not come so far."""
    reached = trial.scores[: bisect.bisect_right(trial.scores, (rung, math.inf))]
    if trial.iterations < rung or not reached:
        return None
    return average_later_half(reached, reached[-1][0])


def correlate_ranks(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation; NaN for constant input."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(rank(a), rank(b))[0, 1])


def rank(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value from 1 on, equal values with the mean of theirs.

    >>> rank(np.array([0.3, 0.1, 0.3])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
