"""Which searched settings decided the scores of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tune_jobs.formatting import format_percent
from tune_jobs.report.html_parts import render_note
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.rung_agreement import score_at

FEWEST = 20
"""Trials below which nothing is said."""
MOST = 2000
"""Trials of which the forest is made, the first ones: more take seconds and say no more."""
TREES, SMALLEST_LEAF = 100, 2
EXPLAINED = 0.1
"""Share of the variance that the settings must explain before their shares mean anything."""


@dataclass(frozen=True)
class Importance:
    """Shares of the searched settings in what a forest explains of the trials' ranks."""

    explained: float
    """Of the variance of the ranks, for trials that a tree has not seen (out of bag)."""
    shares: dict[str, float]
    """By setting, the largest first; they add up to 1."""

    @property
    def sentence(self) -> str:
        """The figures in words."""
        if self.explained < EXPLAINED:
            return (
                "Importance of settings: none differs from noise (a forest explains "
                f"{format_percent(max(self.explained, 0.0))} of the differences between trials)."
            )
        shares = ", ".join(f"{name} {format_percent(share)}" for name, share in self.shares.items())
        return (
            f"Importance of settings: {shares} of the {format_percent(self.explained)} of the "
            "differences between trials that a forest explains."
        )


def render_importance(outcome: Outcome) -> str:
    """Return a note of what decided the scores; empty where too few trials can say it."""
    importance = measure_importance(outcome)
    return render_note(importance.sentence) if importance else ""


def measure_importance(outcome: Outcome) -> Importance | None:
    """Return how much each searched setting decides; None for too few trials or settings.

    A random forest predicts the ranks of the trials at the first rung, which most of them reach,
    from their settings; a setting's share is that of its splits in the reduction of the variance
    (Hutter et al. 2014, "An Efficient Approach for Assessing Hyperparameter Importance", in its
    simplest form: main effects and interactions are not separated). Without rungs, or without
    scores there, it is the ranks by the later half of training.
    """
    trials = [trial for trial in outcome.trials if not trial.repeats][:MOST]
    names = [n for n in outcome.job.searched if len({str(t.config.get(n)) for t in trials}) > 1]
    scores = [score_at(t, outcome.rungs[0]) if outcome.rungs else t.settled_score for t in trials]
    scored = [(t.config, s) for t, s in zip(trials, scores, strict=True) if s is not None]
    if len(scored) < FEWEST or len(names) < 2 or len({s for _, s in scored}) < 2:
        return None
    # Only where they are needed: the imports take most of a second.
    from scipy.stats import rankdata
    from sklearn.ensemble import RandomForestRegressor

    columns = [_encode([config.get(name) for config, _ in scored]) for name in names]
    forest = RandomForestRegressor(
        TREES, min_samples_leaf=SMALLEST_LEAF, oob_score=True, random_state=0
    )
    forest.fit(np.stack(columns, 1), rankdata([score for _, score in scored]))
    shares = dict(zip(names, forest.feature_importances_.tolist(), strict=True))
    largest_first = dict(sorted(shares.items(), key=lambda pair: -pair[1]))
    return Importance(float(forest.oob_score_), largest_first)


def _encode(values: list[Any]) -> np.ndarray:
    """Return numbers for the values of a setting; a forest asks for no more than their order."""
    if all(isinstance(value, int | float) for value in values):
        return np.array(values, float)
    texts = sorted({str(value) for value in values})
    return np.array([texts.index(str(value)) for value in values], float)
