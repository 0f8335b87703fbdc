"""Curves of the page: a metric over an axis, smoothed, of each trial or of groups with a band."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, Literal

import numpy as np

from cluster.web.run_view import RunView
from rungwise.formatting import format_identifier, format_number
from rungwise.metrics import GROUPS, METRICS, find_group
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import TrialOutcome
from tune_jobs.report.axes import set_log_axis
from tune_jobs.report.curves import Curve, draw_line, draw_trials, label_end, mark_ends, mark_rungs
from tune_jobs.report.plots import ENDS, GREY, PALETTE, make_blank_figure, spans_decades

PLOT_POINTS = 20_000
"""Points of all trials in a plot: as many as a browser draws without delay."""
MIN_POINTS, MAX_POINTS = 20, 400
"""Points of one trial: more than the latter, a screen has no columns for."""
MOST_TRIALS = 100
"""Trials whose curves of a metric other than the score are drawn, the best: rows are read whole."""
MOST_GROUPS = len(PALETTE)
FOUND = ENDS["health"][0]
GRID = 200
"""Places on the axis at which the curves of a group are averaged."""
SAME_SETTINGS = "the same settings"
"""The group of trials that differ in their seed only."""

Axis = Literal["iteration", "env_steps", "seconds"]
AXES: dict[Axis, str] = {
    "iteration": "iteration",
    "env_steps": "environment steps",
    "seconds": "training time, s",
}


@dataclass(frozen=True)
class CurveChoice:
    """The choices of a reader of the page."""

    metric: str = ""
    """Empty for the score."""
    axis: Axis = "iteration"
    smoothing: float = 0.0
    """Weight of the past in a moving average, from 0 to below 1."""
    log: bool | None = None
    """Whether the axis of values is logarithmic; None where all are positive and span a decade."""
    group: str = ""
    """A searched setting, or :data:`SAME_SETTINGS`; empty for a curve of each trial."""
    selected: tuple[str, ...] = ()
    only: str = ""
    """A trial that is drawn alone, with its findings; empty for all."""


def list_panels(metrics: Iterable[str]) -> dict[str, list[str]]:
    """Sort the names of metrics into groups, in the order of the page; empty groups are left out.

    >>> list_panels(["kl", "return_mean", "excess_risk"])
    {'return': ['return_mean'], 'policy': ['kl'], 'task and method': ['excess_risk']}
    """
    panels: dict[str, list[str]] = {panel: [] for _, panel, _ in GROUPS}
    for metric in sorted(metrics):
        panels[find_group(metric)[1]].append(metric)
    return {name: inside for name, inside in panels.items() if inside}


def describe_metric(metric: str) -> str:
    """Return the catalogue's meaning of a metric, with its unit and what is healthy."""
    entry = METRICS.get(metric)
    if entry is None:
        return "of the environment"
    healthy = f"; healthy: {entry.healthy}" if entry.healthy else ""
    return f"{entry.meaning}{f' ({entry.unit})' if entry.unit else ''}{healthy}"


def smooth(values: Sequence[float | None], weight: float) -> list[float | None]:
    """Return the moving average with exponential weights, without the bias of its start.

    Args:
        values: [T], None for gaps, which stay.
        weight: of the past, from 0 to below 1 (TensorBoard's slider).
    """
    smoothed: list[float | None] = []
    mean = mass = 0.0
    for value in values:
        if value is not None:
            mass = weight * mass + 1.0
            # A sum divided by the mass would overflow for the largest floats, and of this the
            # rounding may: the median of the three is what lies between the other two.
            mean = sorted((mean, mean * (1.0 - 1.0 / mass) + value / mass, value))[1]
        smoothed.append(None if value is None else mean)
    return smoothed


def average_curves(
    curves: Sequence[tuple[Sequence[float], Sequence[float | None]]],
) -> dict[str, list[float]]:
    """Return the mean of curves and the band between their lowest and highest, on a common grid.

    At each place the curves that have reached it count.

    Args:
        curves: of each the places [T] in ascending order and the values [T], None for gaps.

    Returns:
        ``x``, ``mean``, ``low`` and ``high``, each [:data:`GRID`]; empty without a value.
    """
    finite = [
        (
            [x for x, y in zip(*curve, strict=True) if y is not None],
            # A power of two changes no digit, and differences of the largest floats stay finite.
            [y * 2.0**-32 for y in curve[1] if y is not None],
        )
        for curve in curves
    ]
    finite = [curve for curve in finite if curve[0]]
    if not finite:
        return {"x": [], "mean": [], "low": [], "high": []}
    places = np.linspace(min(xs[0] for xs, _ in finite), max(xs[-1] for xs, _ in finite), GRID)
    rows = np.array([np.interp(places, xs, ys, math.nan, math.nan) for xs, ys in finite])
    reached = np.isfinite(rows).any(axis=0)
    rows = rows[:, reached]
    low, high = np.nanmin(rows, 0), np.nanmax(rows, 0)
    band = {"mean": np.clip(np.nanmean(rows, 0), low, high), "low": low, "high": high}
    scaled = {name: (row * 2.0**32).tolist() for name, row in band.items()}
    return {"x": places[reached].tolist()} | scaled


def group_trials(trials: Iterable[TrialOutcome], setting: str) -> dict[str, list[str]]:
    """Return the ids of the trials by the value of a setting, or by all of their settings."""
    groups: dict[str, list[str]] = {}
    for trial in trials:
        if setting == SAME_SETTINGS:
            label = f"settings of {trial.repeats or trial.id}"
        else:
            label = f"{setting} {format_number(trial.config.get(setting))}"
        groups.setdefault(label, []).append(trial.id)
    return groups


def plot_curves(view: RunView, outcome: Outcome, choice: CurveChoice) -> dict[str, Any]:
    """Plot a metric of the trials of a run, as the data and layout of a Plotly figure."""
    trials = [t for t in outcome.best_first if t.id in view.trial_results]
    if choice.only:
        trials = [trial for trial in trials if trial.id == choice.only]
    if choice.metric:
        wanted = [t for t in trials if t.id in choice.selected or t is outcome.best]
        trials = [*wanted, *(t for t in trials if t not in wanted)][: max(MOST_TRIALS, len(wanted))]
    size = max(MIN_POINTS, min(MAX_POINTS, PLOT_POINTS // max(1, len(trials))))
    curves = {trial.id: _read_curve(view, trial.id, choice, size) for trial in trials}
    values = [y for curve in curves.values() for y in curve.y]
    log = spans_decades(values, decades=1) if choice.log is None else choice.log
    if choice.log:  # chosen by itself, it has none but positive values
        curves = {trial: curve.keep_positive() for trial, curve in curves.items()}
    if choice.group:
        data = _plot_groups(curves, group_trials(trials, choice.group))
    else:
        focus = [outcome.best.id] if outcome.best else []
        focus += [trial for trial in choice.selected if trial not in focus]
        data = draw_trials(curves, [choice.only] if choice.only else focus, outcome.best)
        data += mark_ends(
            curves, trials, lambda t: view.build_of(t, "end label", partial(label_end, t))
        )
    return {"data": data, "layout": _lay_out(outcome, choice, values, log)}


def _read_curve(view: RunView, trial: str, choice: CurveChoice, size: int) -> Curve:
    """Read a curve, unless it was drawn in the same way and the trial has no result since."""
    results = view.trial_results.get(trial)
    if results is None:
        return Curve([], [])
    # One way of each metric is kept: a slider has hundreds.
    key, way = (choice.metric, size), (choice.axis, choice.smoothing)
    if key not in results.drawn or results.drawn[key][0] != way:
        points = view.read_curve(trial, choice.metric, size)
        values = smooth([point.value for point in points], choice.smoothing)
        places = (float(getattr(point, choice.axis)) for point in points)
        results.drawn[key] = way, Curve.join(zip(places, values, strict=True))
    return results.drawn[key][1]


def _plot_groups(
    curves: Mapping[str, Curve], groups: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Plot the mean of each group as a line, from its lowest to its highest trial as a band."""
    data: list[dict[str, Any]] = []
    for number, (label, ids) in enumerate(list(groups.items())[:MOST_GROUPS]):
        band = average_curves([(curves[i].x, curves[i].y) for i in ids])
        colour = PALETTE[number]
        name = escape(f"{label} ({len(ids)})")  # Plotly takes its labels for HTML
        edge = {"type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        edge |= {"x": band["x"], "showlegend": False, "legendgroup": label}
        data.append(edge | {"y": band["low"]})
        shade = f"rgba({','.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))},0.15)"
        data.append(edge | {"y": band["high"], "fill": "tonexty", "fillcolor": shade})
        line = draw_line(band["x"], band["mean"], [name] * len(band["x"]), name, colour, 2)
        hover = "%{customdata}, %{x:,.6~g}: %{y:.4g}<extra></extra>"
        data.append(line | {"legendgroup": label, "hovertemplate": hover})
    return data


def plot_evidence(
    view: RunView, outcome: Outcome, metric: str, onsets: Mapping[str, int]
) -> dict[str, Any]:
    """Plot a metric of the trials that have a finding, and of the best one to compare with.

    Args:
        view: the run.
        outcome: its outcome.
        metric: what the rule reads; empty for the score.
        onsets: the iteration of the onset by trial, as many as can be distinguished.
    """
    choice, best = CurveChoice(metric=metric), outcome.best
    trials = [*onsets, *([best.id] if best and best.id not in onsets else [])]
    curves = {trial: _read_curve(view, trial, choice, MAX_POINTS) for trial in trials}
    values = [y for curve in curves.values() for y in curve.y]
    log = spans_decades(values, decades=1)
    data: list[dict[str, Any]] = []
    marks: dict[str, list[Any]] = {"x": [], "y": [], "customdata": []}
    for number, (trial, curve) in enumerate(curves.items()):
        xs, ys = curve.x, curve.y
        name = escape(f"trial {trial}") + (", the best" if best and trial == best.id else "")
        colour, width = (PALETTE[number % MOST_GROUPS], 2) if trial in onsets else (GREY, 1)
        data.append(draw_line(xs, ys, [trial] * len(xs), name, colour, width))
        if trial in onsets and xs:
            # The value at the onset may not be drawn: thinned, or not finite.
            marks["x"].append(onsets[trial])
            marks["y"].append(float(np.interp(onsets[trial], xs, ys)))
            marks["customdata"].append(trial)
    marker = {"size": 10, "color": FOUND, "symbol": ENDS["health"][1]}
    hover = "trial %{customdata}: since iteration %{x}<extra></extra>"
    data.append(
        {"type": "scatter", "mode": "markers", "name": "onset", "marker": marker}
        | {"hovertemplate": hover, **marks}
    )
    layout = _lay_out(outcome, choice, values, log)
    return {"data": data, "layout": layout | {"height": 260, "showlegend": True}}


def _lay_out(
    outcome: Outcome, choice: CurveChoice, values: Sequence[float], log: bool
) -> dict[str, Any]:
    figure = make_blank_figure(
        height=380 if not choice.metric else 240, legend=not choice.metric or bool(choice.group)
    )
    name = escape(format_identifier(choice.metric or outcome.job.metric))
    figure.update_xaxes(title=AXES[choice.axis], rangemode="tozero")
    figure.update_yaxes(title=f"{name} (log scale)" if log else name)
    figure.update_layout(hovermode="closest", uirevision=f"{choice.metric}{choice.axis}{log}")
    if log and (positive := [value for value in values if value > 0]):
        set_log_axis(figure, positive)
    if choice.axis == "iteration":
        mark_rungs(figure, outcome.rungs)
        for row in outcome.findings:
            if row.trial == choice.only and not row.withdrawn:
                name = escape(format_identifier(row.symptom))
                label = {"text": name, "textangle": -90, "font": {"size": 10}}
                figure.add_vline(row.since, line={"color": FOUND, "width": 1}, label=label)
    return dict(figure.to_dict()["layout"])
