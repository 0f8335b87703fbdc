"""Parallel coordinates: one line per trial through its settings, coloured by its score.

Drawn with ordinary lines rather than Plotly's own parallel coordinates, which need WebGL (a printed
page or a remote desktop has none) and know no logarithmic axes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from tune_jobs.formatting import format_identifier, format_measurement, format_number
from tune_jobs.report.plots import Plot, make_blank_figure, spans_decades
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.trial_outcome import TrialOutcome, to_finite_float

FEWEST = 4
"""Trials below which a table shows more than this plot."""
SCALE = [[0.0, "#1f6fb4"], [0.5, "#9aa0a6"], [1.0, "#d9822b"]]
"""From the best score to the worst, visible on white and on dark."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """One upright axis: where each value lies between 0 and 1, and its labels."""

    name: str
    places: list[float]
    ticks: list[tuple[float, str]]

    @classmethod
    def from_values(cls, name: str, values: Sequence[Any]) -> Axis:
        """Build the axis of some values: linear, logarithmic, or a list of names."""
        numbers = [to_finite_float(value) for value in values]
        known = [value for value in numbers if value is not None]
        if len(known) < len(values):
            return cls._of_names(name, [format_number(value) for value in values])
        if spans_decades(known, decades=1.5):
            return cls._of_numbers(
                f"{name} (log)", [math.log10(value) for value in known], log=True
            )
        return cls._of_numbers(name, known, log=False)

    @classmethod
    def _of_names(cls, name: str, values: list[str]) -> Axis:
        names = sorted(set(values))
        place = {value: (rank + 0.5) / len(names) for rank, value in enumerate(names)}
        return cls(name, [place[v] for v in values], [(place[v], v) for v in names])

    @classmethod
    def _of_numbers(cls, name: str, values: list[float], log: bool) -> Axis:
        low, high = min(values), max(values)
        width = high - low
        if not width:
            return cls(name, [0.5] * len(values), [(0.5, format_number(10**low if log else low))])
        # Few different values are labelled each, many by five even steps.
        marks = sorted(set(values))
        if len(marks) > 5:
            marks = [low + width * step / 4 for step in range(5)]
        ticks = [((m - low) / width, format_number(float(10**m if log else m))) for m in marks]
        return cls(name, [(value - low) / width for value in values], ticks)


def plot_parallel_coordinates(outcome: Outcome) -> Plot:
    """Plot the searched settings of every trial with a score, coloured by the score."""
    trials = [trial for trial in outcome.trials if trial.finite_score is not None]
    searched = [name for name in outcome.job.searched if any(name in t.config for t in trials)]
    if len(trials) < FEWEST or not searched:
        return f"Parallel coordinates need {FEWEST} trials with a score and a searched setting."
    axes = [
        Axis.from_values(name, [trial.config.get(name) for trial in trials]) for name in searched
    ]
    scores = Axis.from_values(
        format_identifier(outcome.job.metric), [trial.finite_score for trial in trials]
    )
    axes.append(scores)
    # From the axis, not from the score: on a logarithmic axis the colours spread evenly, too.
    goodness = scores.places if outcome.job.mode == "max" else [1 - p for p in scores.places]
    figure = make_blank_figure(height=380)
    # The better a trial, the later it is drawn and the thicker it is.
    for row in sorted(range(len(trials)), key=goodness.__getitem__):
        figure.add_trace(_line(trials[row], [axis.places[row] for axis in axes], goodness[row]))
    for place, axis in enumerate(axes):
        _draw(figure, place, axis)
    figure.update_xaxes(visible=False, range=[-0.15, len(axes) - 0.6])
    figure.update_yaxes(visible=False, range=[-0.08, 1.16])
    figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 8})
    return figure


def _line(trial: TrialOutcome, places: list[float], goodness: float) -> go.Scatter:
    settings = "<br>".join(
        f"{escape(k)}: {escape(format_number(v))}" for k, v in trial.config.items()
    )
    return go.Scatter(
        y=places,
        mode="lines+markers",
        line={"color": sample_colorscale(SCALE, 1 - goodness)[0], "width": 1 + 2 * goodness},
        marker={"size": 4},
        text=f"trial {escape(trial.id)}: {format_measurement(trial.finite_score)}<br>{settings}",
        hovertemplate="%{text}<extra></extra>",
    )


def _draw(figure: go.Figure, place: int, axis: Axis) -> None:
    figure.add_shape(
        type="line",
        x0=place,
        x1=place,
        y0=0,
        y1=1,
        layer="below",
        line={"color": "#999", "width": 1},
    )
    label = {"x": place, "showarrow": False}
    figure.add_annotation(text=f"<b>{escape(axis.name)}</b>", y=1.1, **label)
    for height, text in axis.ticks:
        figure.add_annotation(
            text=escape(text),
            y=height,
            xanchor="left",
            xshift=5,
            font={"size": 10},
            bgcolor="#fff",
            **label,
        )
