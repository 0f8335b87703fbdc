"""Parallel coordinates: one line per trial through its settings, coloured by its score.

Plotly's own, for its brush: a range dragged on an axis leaves the trials inside it. It draws with
WebGL; where a browser has none, the slices show the same trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from rungwise.formatting import format_identifier, format_number
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.axes import choose_log_ticks
from tune_jobs.report.importance import rank_settings
from tune_jobs.report.plots import MUTED, Plot, make_blank_figure, spans_decades
from tune_jobs.report.setting_views import FEWEST, SCALE, read_numbers


def plot_parallel_coordinates(outcome: Outcome) -> Plot:
    """Plot the settings that differ, the most important first, of every trial with a score."""
    scored = [(t, s) for t in outcome.trials if (s := t.finite_score) is not None]
    names = rank_settings(outcome)
    if len(scored) < FEWEST or not names:
        return f"Parallel coordinates need {FEWEST} trials with a score and a searched setting."
    axes = [make_axis(name, [trial.config.get(name) for trial, _ in scored]) for name in names]
    scores = make_axis(format_identifier(outcome.job.metric), [score for _, score in scored])
    line = {
        "color": scores["values"],
        "colorscale": SCALE,
        "reversescale": outcome.job.mode == "max",
    }
    figure = make_blank_figure(height=380)
    figure.add_trace(
        go.Parcoords(
            dimensions=[*axes, scores],
            line=line,
            labelfont={"size": 13, "color": MUTED},
            tickfont={"size": 11, "color": MUTED},
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},  # the ticks say it
            unselected={"line": {"color": "#999", "opacity": 0.15}},
        )
    )
    figure.update_layout(margin={"l": 60, "r": 60, "t": 50, "b": 20})
    return figure


def make_axis(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return an axis of Plotly's: linear, logarithmic by its ticks, or a list of names."""
    numbers, label = read_numbers(values), escape(name)
    if numbers is None:
        texts = [format_number(value) for value in values]
        names = sorted(set(texts))
        places = [float(names.index(text)) for text in texts]
        ticks = {"tickvals": list(range(len(names))), "ticktext": list(map(escape, names))}
        return {"label": label, "values": places, "range": [-0.3, len(names) - 0.7], **ticks}
    if not spans_decades(numbers, decades=1):
        return {"label": label, "values": numbers, "range": [min(numbers), max(numbers)]}
    ticks = choose_log_ticks(min(numbers), max(numbers))
    values = [math.log10(value) for value in numbers]
    return {
        "label": label,
        "values": values,
        "range": [min(values), max(values)],
        "tickvals": [math.log10(tick) for tick in ticks],
        "ticktext": list(map(format_number, ticks)),
    }
