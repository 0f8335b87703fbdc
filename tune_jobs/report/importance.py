"""Which searched settings decided the scores of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from threading import Thread
from typing import Any

import numpy as np

from rungwise.formatting import format_percent
from rungwise.optional_imports import is_installed
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.rung_agreement import rank, score_at
from rungwise.run_log.trial_outcome import TrialOutcome
from tune_jobs.report.plots import ACCENT, MUTED, Plot, make_blank_figure

FEWEST = 20
"""Trials below which nothing is said."""
MOST = 2000
"""Trials of which the forest is made, the first ones: more take seconds and say no more."""
TREES, SMALLEST_LEAF = 100, 2
NO_FOREST = "This needs scikit-learn: pip install 'rungwise[train]', and make the report again."
EXPLAINED = 0.1
"""Share of the variance that the settings must explain before their shares mean anything."""


@dataclass(frozen=True)
class Importance:
    """Shares of the searched settings in what a forest explains of the trials' ranks."""

    explained: float
    """Share of the variance of the ranks, for trials that a tree has not seen (out of bag)."""
    shares: dict[str, float]
    """Share of each setting, the largest first; they add up to 1."""
    spread: dict[str, float]
    """Standard deviation of each share over the trees, each of which sees a resample."""

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


def plot_importance(outcome: Outcome) -> Plot:
    """Plot the share of each searched setting, with its spread over the trees of the forest."""
    if not _can_rank(outcome):  # first: looking for the forest imports it
        scored = len(score_trials(outcome))
        return (
            f"Importance needs {FEWEST} scored trials ({scored} so far) and two searched settings."
        )
    importance = measure_importance(outcome)
    if importance is None:
        return NO_FOREST
    if importance.explained < EXPLAINED:
        return importance.sentence
    names = list(reversed(importance.shares))
    figure = make_blank_figure(height=90 + 30 * len(names))
    figure.add_bar(
        x=[100 * importance.shares[name] for name in names],
        y=list(map(escape, names)),
        orientation="h",
        marker_color=ACCENT,
        error_x={"array": [100 * importance.spread[name] for name in names], "color": MUTED},
        hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
    )
    figure.update_layout(margin={"t": 8})
    figure.update_xaxes(title="share, % (± standard deviation over trees)", rangemode="tozero")
    figure.update_yaxes(automargin=True)
    return figure


def rank_settings(outcome: Outcome) -> list[str]:
    """Return the searched settings that differ between trials, the most important first."""
    importance = measure_importance(outcome)
    return list(importance.shares) if importance else list_differing(outcome)


def list_differing(outcome: Outcome) -> list[str]:
    """Return the searched settings that differ between trials, in the order of the job."""
    trials = outcome.trials
    return [n for n in outcome.job.searched if len({str(t.config.get(n)) for t in trials}) > 1]


def score_trials(outcome: Outcome) -> list[tuple[TrialOutcome, float]]:
    """Return the trials with the scores by which they are compared.

    That is at the first rung, which most of them reach, or without rungs (or scores there) by the
    later half of training. A repeat has the settings of another trial and is left out.
    """
    trials = [trial for trial in outcome.trials if not trial.repeats][:MOST]
    scores = [score_at(t, outcome.rungs[0]) if outcome.rungs else t.settled_score for t in trials]
    return [(t, s) for t, s in zip(trials, scores, strict=True) if s is not None]


def measure_importance(outcome: Outcome) -> Importance | None:
    """Return how much each searched setting decides; None for too few trials or settings.

    None, too, without scikit-learn, which the light install does not bring.

    A random forest predicts the ranks of the trials (:func:`score_trials`) from their settings; a
    setting's share is that of its splits in the reduction of the variance (Hutter et al. 2014, "An
    Efficient Approach for Assessing Hyperparameter Importance", in its simplest form: main effects
    and interactions are not separated).
    """
    if not (_can_rank(outcome) and has_forest()):
        return None
    names, ranks = list_differing(outcome), rank(np.array([s for _, s in score_trials(outcome)]))
    settings = encode_settings(outcome, names).tolist()
    return _measure(tuple(names), tuple(map(tuple, settings)), tuple(ranks.tolist()))


@lru_cache(maxsize=1)  # four parts of a report ask for it
def _measure(
    names: tuple[str, ...], settings: tuple[tuple[float, ...], ...], ranks: tuple[float, ...]
) -> Importance:
    """Return the importance of settings from their values in each trial and its rank."""
    forest = fit_forest(np.array(settings), np.array(ranks))
    shares = dict(zip(names, forest.feature_importances_.tolist(), strict=True))
    deviations = np.std([tree.feature_importances_ for tree in forest.estimators_], axis=0)
    spread = dict(zip(names, deviations.tolist(), strict=True))
    largest_first = dict(sorted(shares.items(), key=lambda pair: -pair[1]))
    return Importance(float(forest.oob_score_), largest_first, spread)


def _can_rank(outcome: Outcome) -> bool:
    """Return whether there are trials and settings enough to say which of these mattered."""
    scores = [score for _, score in score_trials(outcome)]
    return len(scores) >= FEWEST and len(list_differing(outcome)) > 1 and len(set(scores)) > 1


def has_forest() -> bool:
    """Return whether :func:`fit_forest` can be called."""
    return is_installed("sklearn.ensemble")


def import_forest_early(trials: int) -> None:
    """Import while these trials train what their report will need, which takes a second."""
    if trials >= FEWEST:
        Thread(target=has_forest, name="scikit-learn", daemon=True).start()


def fit_forest(settings: np.ndarray, targets: np.ndarray) -> Any:
    """Return a forest that predicts targets [trials] from settings [trials, names]."""
    from sklearn.ensemble import RandomForestRegressor  # late: the import takes most of a second

    forest = RandomForestRegressor(
        TREES, min_samples_leaf=SMALLEST_LEAF, oob_score=True, random_state=0
    )
    return forest.fit(settings, targets)


def encode_settings(outcome: Outcome, names: Sequence[str]) -> np.ndarray:
    """Return the settings of the scored trials as numbers [trials, names]."""
    configs = [trial.config for trial, _ in score_trials(outcome)]
    return np.stack([_encode([config.get(name) for config in configs]) for name in names], 1)


def _encode(values: list[Any]) -> np.ndarray:
    """Return numbers for the values of a setting; a forest asks for no more than their order."""
    if all(isinstance(value, int | float) for value in values):
        return np.array(values, float)
    texts = sorted({str(value) for value in values})
    return np.array([texts.index(str(value)) for value in values], float)
