"""Curves of trials, as the page and the report draw them: lines, ends and rungs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from rungwise.formatting import format_end_reason, format_identifier
from rungwise.run_log.events import ResultRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import TrialOutcome, to_finite_float
from tune_jobs.report.axes import set_log_axis
from tune_jobs.report.plots import (
    ENDS,
    GREY,
    MUTED,
    PALETTE,
    Plot,
    fold,
    make_blank_figure,
    spans_decades,
)


@dataclass(frozen=True)
class Curve:
    """The points with a value: a held-out score exists only at some of the iterations."""

    x: list[float]
    y: list[float]

    @classmethod
    def join(cls, points: Iterable[tuple[float, float | None]]) -> Curve:
        """Return the curve through points, of which those without a value are left out."""
        measured = [(x, y) for x, y in points if y is not None]
        return cls([x for x, _ in measured], [y for _, y in measured])

    def keep_positive(self) -> Curve:
        """Return the curve without what a logarithmic axis cannot show."""
        return self.join((x, y) for x, y in zip(self.x, self.y, strict=True) if y > 0)


def draw_trials(
    curves: Mapping[str, Curve], focus: Sequence[str], best: TrialOutcome | None
) -> list[dict[str, Any]]:
    """Draw one line for each trial in focus, above the others as one grey line with gaps."""
    others = {trial: curve for trial, curve in curves.items() if trial not in focus}
    lines = {trial: curve for trial, curve in others.items() if len(curve.x) != 1}
    data = [_join(lines, legend=bool(focus))]
    for index, trial in enumerate(t for t in focus if t in curves):
        x, y = curves[trial].x, curves[trial].y
        is_best = best is not None and trial == best.id
        name = escape(f"trial {trial}") + (", the best" if is_best else "")
        data.append(draw_line(x, y, [trial] * len(x), name, PALETTE[index % len(PALETTE)], width=3))
    # A line through a single point would not be seen.
    if points := {trial: curve for trial, curve in others.items() if trial not in lines}:
        data.append(_join(points, legend=False) | {"mode": "markers"})
    return data


def _join(curves: Mapping[str, Curve], *, legend: bool) -> dict[str, Any]:
    """Draw curves as one line with gaps, which browsers draw faster than many."""
    joined: dict[str, list[Any]] = {"x": [], "y": [], "customdata": []}
    for trial, curve in curves.items():
        joined["x"] += [*curve.x, None]
        joined["y"] += [*curve.y, None]
        joined["customdata"] += [trial] * (len(curve.x) + 1)
    return draw_line(**joined, name="other trials", colour=GREY, width=1, legend=legend)


def draw_line(
    x: list[Any],
    y: list[Any],
    customdata: list[str],
    name: str,
    colour: str,
    width: int,
    legend: bool = True,
) -> dict[str, Any]:
    """Draw a line, whose points are marked while there are few."""
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "customdata": customdata,
        "mode": "lines" if len(x) > 2 else "lines+markers",
        "name": name,
        "showlegend": legend,
        "line": {"width": width, "color": colour},
        "marker": {"size": 5, "color": colour},
        "hovertemplate": "trial %{customdata}, %{x:,.6~g}: %{y:.4g}<extra></extra>",
    }


def mark_ends(
    curves: Mapping[str, Curve],
    trials: Iterable[TrialOutcome],
    label: Callable[[TrialOutcome], str],
) -> list[dict[str, Any]]:
    """Mark the last points of trials that have ended, by the reason."""
    ended: dict[str, list[TrialOutcome]] = {}
    for trial in trials:
        if trial.end_reason and curves[trial.id].x:
            ended.setdefault(trial.end_reason, []).append(trial)
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [curves[trial.id].x[-1] for trial in marked],
            "y": [curves[trial.id].y[-1] for trial in marked],
            "customdata": [trial.id for trial in marked],
            "marker": {"size": 9, "color": colour, "symbol": symbol},
            "name": f"ended: {escape(format_end_reason(reason))}",
            "text": [label(trial) for trial in marked],
            "hovertemplate": "%{text}<extra></extra>",
        }
        for reason, marked in ended.items()
        for colour, symbol in [ENDS.get(reason, (MUTED, "triangle-up"))]
    ]


def label_end(trial: TrialOutcome) -> str:
    """Return what is shown over the mark of a trial's end."""
    return fold(f"trial {trial.id}: {trial.full_status_text}")


def mark_rungs(figure: go.Figure, rungs: Iterable[int]) -> None:
    """Draw a dotted line at each rung."""
    for rung in rungs:
        figure.add_vline(rung, line={"color": MUTED, "width": 1, "dash": "dot"})


def plot_learning_curves(outcome: Outcome) -> Plot:
    """Plot scores by iteration: the best trial bold, the others thin, a marker at each end."""
    title = f"training score: {format_identifier(outcome.job.metric)}"
    figure = _plot_by_iteration(outcome, lambda row: row.score, title)
    if figure is None:
        return "No trial has a finite score."
    mark_rungs(figure, outcome.rungs)
    if outcome.rungs:
        rungs = ", ".join(map(str, outcome.rungs))
        figure.update_xaxes(title=f"iteration (dotted: rungs at {rungs})")
    return figure.update_layout(height=430, showlegend=True)


def plot_metric_curves(outcome: Outcome, name: str, title: str, log: bool = False) -> Plot:
    """Plot a metric by iteration for every trial that reports it."""
    figure = _plot_by_iteration(outcome, lambda row: row.metrics.get(name), title, log)
    if figure is None:
        return f"No trial reports {format_identifier(name)}."
    return figure if log else figure.update_yaxes(rangemode="tozero")


def _plot_by_iteration(
    outcome: Outcome, read: Callable[[ResultRow], Any], title: str, log: bool | None = None
) -> go.Figure | None:
    """Plot what results hold; None without a number. Ends are marked on an axis of free choice."""
    curves = {
        trial.id: Curve.join((row.iteration, to_finite_float(read(row))) for row in trial.results)
        for trial in outcome.trials
    }
    is_log = spans_decades((y for c in curves.values() for y in c.y), 1) if log is None else log
    if is_log:
        curves = {trial: curve.keep_positive() for trial, curve in curves.items()}
    curves = {trial: curve for trial, curve in curves.items() if curve.x}
    if not curves:
        return None
    best, figure = outcome.best, make_blank_figure()
    figure.add_traces(draw_trials(curves, [best.id] if best else [], best))
    if log is None:
        drawn = [trial for trial in outcome.trials if trial.id in curves]
        figure.add_traces(mark_ends(curves, drawn, label_end))
    # The axis ends with the newest iteration where the budget of a program is not known.
    budget = outcome.job.iterations
    figure.update_xaxes(title="iteration", range=[0, budget * 1.02] if budget else None)
    figure.update_yaxes(title=escape(f"{title} (log scale)" if is_log else title))
    if is_log:
        set_log_axis(figure, [y for curve in curves.values() for y in curve.y])
    return figure
