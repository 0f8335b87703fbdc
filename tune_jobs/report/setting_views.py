"""How each searched setting goes with the score: slices, and a map of the two that matter most."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from rungwise.formatting import format_identifier, format_measurement, format_number
from rungwise.optional_imports import is_installed
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.rung_agreement import correlate_ranks
from rungwise.run_log.trial_outcome import to_finite_float
from tune_jobs.report.axes import choose_log_ticks, set_log_axis
from tune_jobs.report.importance import (
    NO_FOREST,
    encode_settings,
    fit_forest,
    has_forest,
    list_differing,
    rank_settings,
    score_trials,
)
from tune_jobs.report.plots import ACCENT, MUTED, Plot, make_blank_figure, spans_decades

FEWEST = 4
"""Trials below which a table shows more than a figure."""
FEWEST_MAPPED, GRID = 8, 30
"""Trials below which there is no map of two settings; points of the map along each of them."""
SCALE = [[0.0, "#1f6fb4"], [0.5, "#9aa0a6"], [1.0, "#d9822b"]]
"""From the best score to the worst, visible on white and on dark."""


def label_score(outcome: Outcome) -> str:
    """Return the name of the scores by which trials are compared."""
    at = f" at iteration {outcome.rungs[0]}" if outcome.rungs else ""
    return f"training score{at}: {format_identifier(outcome.job.metric)}"


def plot_slices(outcome: Outcome) -> dict[str, go.Figure] | str:
    """Plot the score of each trial over each setting that differs, by its caption.

    A sentence instead where too few trials have a score.
    """
    scored, names = score_trials(outcome), rank_settings(outcome)
    if len(scored) < FEWEST or not names:
        return f"Settings are compared from {FEWEST} trials with a score on."
    scores = [score for _, score in scored]
    log, best = spans_decades(scores, decades=1), outcome.best
    figures: dict[str, go.Figure] = {}
    for name in names:
        values = [trial.config.get(name) for trial, _ in scored]
        figure = figures[caption_slice(name, values, scores)] = make_blank_figure(height=230)
        numbers = read_numbers(values)
        is_best = [best is not None and trial.id == best.id for trial, _ in scored]
        figure.add_scatter(
            x=numbers or [escape(format_number(value)) for value in values],
            y=scores,
            mode="markers",
            marker={
                "size": [11 if b else 7 for b in is_best],
                "color": [ACCENT if b else MUTED for b in is_best],
                "opacity": 0.8,
            },
            text=[f"trial {escape(trial.id)}" for trial, _ in scored],
            hovertemplate="%{text}: %{x}, score %{y:.3g}<extra></extra>",
        )
        figure.update_layout(margin={"l": 56, "r": 8, "t": 8, "b": 40})
        if numbers and spans_decades(numbers, decades=1):
            set_log_axis(figure, numbers, "x")
        figure.update_xaxes(title=escape(name), automargin=True)
        if log:
            set_log_axis(figure, scores)
    return figures


def caption_slice(name: str, values: Sequence[Any], scores: Sequence[float]) -> str:
    """Return a setting with Spearman's rank correlation of its values with the scores."""
    numbers = read_numbers(values)
    if numbers is None:
        return f"{name}: categorical, {len(scores)} trials"
    if len(set(numbers)) < 2 or len(set(scores)) < 2:
        return f"{name}: no rank correlation, {len(scores)} trials"
    if not is_installed("scipy"):  # without it the correlation has no probability
        correlation = correlate_ranks(np.array(numbers), np.array(scores))
        return f"{name}: rank correlation {correlation:+.2f}, {len(scores)} trials"
    from scipy.stats import spearmanr

    result: Any = spearmanr(numbers, scores)
    probability = "p < 0.001" if result.pvalue < 0.001 else f"p = {result.pvalue:.2g}"
    return f"{name}: rank correlation {result.statistic:+.2f}, {probability}, {len(scores)} trials"


def read_numbers(values: Sequence[Any]) -> list[float] | None:
    """Return the values as floats; None where one is no number."""
    numbers = [number for value in values if (number := to_finite_float(value)) is not None]
    return numbers if len(numbers) == len(values) else None


def plot_contour(outcome: Outcome) -> Plot:
    """Plot what a forest predicts over the two most important numeric settings, and the trials.

    At each point it is the mean over the other settings of the trials (partial dependence).
    """
    scored, names = score_trials(outcome), list_differing(outcome)
    numeric = [n for n in names if read_numbers([trial.config.get(n) for trial, _ in scored])]
    scores = np.array([score for _, score in scored])
    if len(scored) < FEWEST_MAPPED or len(numeric) < 2 or np.ptp(scores) == 0:
        return (
            f"A map of two settings needs {FEWEST_MAPPED} scored trials and two numeric settings."
        )
    if not has_forest():
        return NO_FOREST
    log = spans_decades(scores.tolist(), decades=1)
    targets = np.log10(scores) if log else scores
    settings = encode_settings(outcome, names)
    forest = fit_forest(settings, targets)
    shares = dict(zip(names, forest.feature_importances_, strict=True))
    numeric = sorted(numeric, key=lambda name: -shares[name])[:2]
    columns = [names.index(name) for name in numeric]
    logs = [spans_decades(settings[:, column].tolist(), decades=1) for column in columns]
    axes = [
        (np.geomspace if is_log else np.linspace)(*_range(settings[:, column]), GRID)
        for column, is_log in zip(columns, logs, strict=True)
    ]
    first, second = np.meshgrid(*axes)
    points = np.repeat(settings[None], GRID * GRID, axis=0)
    points[:, :, columns[0]], points[:, :, columns[1]] = first.reshape(-1, 1), second.reshape(-1, 1)
    predicted = forest.predict(points.reshape(-1, len(names))).reshape(GRID, GRID, -1).mean(-1)
    ticks = choose_log_ticks(scores.min(), scores.max()) if log else []
    scale = {
        "colorscale": SCALE,
        "reversescale": outcome.job.mode == "max",
        **dict(zip(("cmin", "cmax"), _range(targets), strict=True)),
    }
    figure = make_blank_figure(height=420)
    contour = {"zmin" if k == "cmin" else "zmax" if k == "cmax" else k: v for k, v in scale.items()}
    bar: dict[str, Any] = {"title": {"text": "score"}, "thickness": 12, "outlinewidth": 0}
    if log:
        bar |= {"tickvals": np.log10(ticks).tolist(), "ticktext": list(map(format_number, ticks))}
    figure.add_contour(
        x=axes[0], y=axes[1], z=predicted, opacity=0.6, colorbar=bar, line={"width": 0.5},
        hoverinfo="skip", **contour,
    )  # fmt: skip
    figure.add_scatter(
        x=settings[:, columns[0]],
        y=settings[:, columns[1]],
        mode="markers",
        marker={"color": targets, "size": 9, "line": {"width": 1, "color": "#fff"}, **scale},
        text=[f"trial {escape(t.id)}: {format_measurement(score)}" for t, score in scored],
        hovertemplate="%{text}<extra></extra>",
    )
    for axis, name, values, is_log in zip("xy", numeric, axes, logs, strict=False):
        if is_log:
            set_log_axis(figure, values.tolist(), axis)
        figure.update_layout({f"{axis}axis": {"title": escape(name)}})
    figure.update_layout(showlegend=False)
    return figure


def _range(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())
