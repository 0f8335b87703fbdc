"""The plots of a report, each a function of the outcome.

A function returns a Plotly figure, or a sentence that explains why there is none: an empty axis
would look like a result.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from rungwise.formatting import count, format_end_reason, format_percent
from rungwise.run_log.events import EvaluationRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import to_finite_float
from tune_jobs.report.axes import set_log_axis
from tune_jobs.report.result_score import name_player

Plot = go.Figure | str

ACCENT, GREY, MUTED = "#1f6fb4", "rgba(128,128,128,0.6)", "#7a7a7a"
PALETTE = [ACCENT, "#d9822b", "#3d9970", "#a85ca8", "#8c6d31", "#6b7fd7", "#c0504d", "#5f9ea0"]
"""Readable on white and on dark; the first four also for colour-blind readers."""
ENDS = {
    "budget": (ACCENT, "circle"),
    "asha": ("#d9822b", "diamond"),
    "health": ("#c0392b", "x"),
    "plateau": ("#a85ca8", "square"),
    "error": ("#8e6e95", "cross"),
    "interrupted": (MUTED, "circle-open"),
}
"""Colour and marker of each end reason; the markers differ for readers who see no colours."""
SAVINGS = {name: colour for name, (colour, _) in ENDS.items() if name != "budget"}
FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"
CHOICES_SHOWN = len(PALETTE)


def plot_choices_over_time(outcome: Outcome) -> Plot:
    """Plot the choice fractions of the best trial by iteration, stacked to 100 %."""
    rows = outcome.best.results if outcome.best else ()
    known = [(row.iteration, s) for row in rows if (s := row.metrics.get("choice_fractions"))]
    if len(known) < 2:
        return "The best trial reports no choice shares over time."
    figure = make_blank_figure(height=330, legend=True)
    shares = [_percents(row) for _, row in known]
    for place, (name, values) in enumerate(_choices(outcome.job.choice_names, shares)):
        figure.add_scatter(
            x=[iteration for iteration, _ in known],
            y=values,
            name=name,
            stackgroup="all",
            mode="lines",
            line={"width": 0.5, "color": [*PALETTE, MUTED][place]},
            hovertemplate="%{y:.0f} %",
        )
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(title="iteration")
    figure.update_yaxes(title="share of choices, %", range=[0, 100])
    return figure


def plot_choices_by_policy(outcome: Outcome) -> Plot:
    """Plot the choice fractions of the evaluation, compared with random and simple rules."""
    evaluation = outcome.evaluation
    if evaluation is None or not evaluation.choice_fractions:
        return "No evaluation has recorded choice shares."
    policies = list(reversed(evaluation.choice_fractions))
    shares = [_percents(evaluation.choice_fractions[policy]) for policy in policies]
    figure = make_blank_figure(height=130 + 34 * len(policies), legend=True)
    for place, (name, values) in enumerate(_choices(outcome.job.choice_names, shares)):
        figure.add_bar(
            x=values,
            y=[_policy(evaluation, policy) for policy in policies],
            name=name,
            orientation="h",
            marker_color=[*PALETTE, MUTED][place],
            hovertemplate="%{x:.0f} %",
        )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="share of choices, %", range=[0, 100])
    figure.update_yaxes(automargin=True)
    return figure


def plot_node_losses(evaluation: EvaluationRow | None) -> dict[str, go.Figure]:
    """Plot for each node the mean loss after 0, 1, … interventions, by policy, on one scale."""
    if evaluation is None:
        return {}
    traces = evaluation.traces
    values = [v for by_node in traces.values() for trace in by_node.values() for v in trace]
    known = [value for v in values if (value := to_finite_float(v)) is not None]
    if not known:
        return {}
    # A root is learnt to the last digit: what is below a ten-thousandth is drawn there.
    floor = max(known) * 1e-4
    log = spans_decades((shown := [max(value, floor) for value in known]), decades=1)
    figures: dict[str, go.Figure] = {}
    for node in dict.fromkeys(node for by_node in traces.values() for node in by_node):
        figure = figures[node] = make_blank_figure(height=220)
        for place, (policy, by_node) in enumerate(traces.items()):
            losses = by_node.get(node, [])
            known = [to_finite_float(loss) for loss in losses]
            trace = [max(y, floor) if y is not None and log else y for y in known]
            line = {"width": 2.5 if place == 0 else 1.5, "color": _policy_colour(policy, place)}
            label = f"{_policy(evaluation, policy)}: %{{y:.3g}}<extra></extra>"
            figure.add_scatter(y=trace, mode="lines", line=line, hovertemplate=label)
        figure.update_layout(margin={"l": 48, "r": 8, "t": 8, "b": 36}, hovermode="x")
        figure.update_xaxes(title="interventions")
        if log:
            set_log_axis(figure, shown)
        else:
            figure.update_yaxes(range=compute_range(min(shown), max(shown)))
    return figures


def list_policy_colours(evaluation: EvaluationRow) -> list[tuple[str, str]]:
    """List the policies of the node plots, escaped, with their colours: the common legend."""
    return [
        (_policy(evaluation, policy), _policy_colour(policy, place))
        for place, policy in enumerate(evaluation.traces)
    ]


def plot_compute(outcome: Outcome) -> Plot:
    """Plot the full budget as one bar: run, saved by reason, still open."""
    if not outcome.budget:
        return "The job has no budget of iterations."
    parts = [("run", outcome.iterations_run, ACCENT)]
    for name, iterations in outcome.iterations_saved_by_reason.items():
        parts.append((f"saved: {format_end_reason(name)}", iterations, SAVINGS.get(name, MUTED)))
    if outcome.iterations_open:
        parts.append(("not run yet", outcome.iterations_open, GREY))
    figure = make_blank_figure(height=150, legend=True)
    for name, iterations, colour in parts:
        share = iterations / outcome.budget
        figure.add_bar(
            x=[iterations],
            y=[""],
            name=escape(name),
            orientation="h",
            marker_color=colour,
            text=format_percent(share) if share > 0.04 else "",
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            hovertemplate=f"{escape(name)}: {count(iterations, 'iteration')}<extra></extra>",
        )
    figure.update_layout(barmode="stack", margin={"t": 8, "l": 12})
    figure.update_xaxes(title="iterations", range=[0, outcome.budget])
    return figure


def spans_decades(values: Iterable[float], decades: float) -> bool:
    """Return whether all values are positive and span more than ``decades`` decades."""
    known = list(values)
    return bool(known) and min(known) > 0 and max(known) / min(known) > 10**decades


def _percents(shares: Iterable[Any]) -> list[float]:
    return [100 * (to_finite_float(share) or 0.0) for share in shares]


def _choices(names: Sequence[str], shares: list[list[float]]) -> list[tuple[str, list[float]]]:
    """Return each choice with its values; of many choices the rarest are summed."""
    width = max(map(len, shares))
    columns = [[row[c] if c < len(row) else 0.0 for row in shares] for c in range(width)]
    names = [*names[:width], *(f"choice {c}" for c in range(len(names), width))]
    frequent = sorted(range(width), key=lambda c: -sum(columns[c]))[:CHOICES_SHOWN]
    kept = [(escape(names[c]), columns[c]) for c in sorted(frequent)]
    rest = [columns[c] for c in range(width) if c not in frequent]
    if rest:
        kept.append((count(len(rest), "other"), list(map(sum, zip(*rest, strict=True)))))
    return kept


def make_blank_figure(height: int = 300, legend: bool = False) -> go.Figure:
    """Make an empty figure in the style of the report, transparent for dark pages."""
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        showlegend=legend,
        font={"family": FONT, "size": 12, "color": MUTED},
        margin={"l": 60, "r": 12, "t": 20, "b": 44},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode=False,
    )
    axis: dict[str, Any] = {"gridcolor": "rgba(128,128,128,0.18)", "zeroline": False, "ticks": ""}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def compute_range(low: float, high: float) -> list[float]:
    """Return the range of a linear axis from 0 that holds values from low to high."""
    return [min(0.0, low), high * 1.05 if high > 0 else 0.0]


def _policy(evaluation: EvaluationRow, name: str) -> str:
    return escape(name_player(name, evaluation.trial))


def _policy_colour(policy: str, place: int) -> str:
    return MUTED if policy == "random" else PALETTE[place % len(PALETTE)]


@functools.lru_cache(2**15)  # a page draws the same ends of thousands of trials with each result
def fold(text: str, width: int = 60) -> str:
    """Wrap a sentence and escape it: hover labels interpret HTML and do not wrap by themselves."""
    return "<br>".join(escape(line) for line in textwrap.wrap(text, width))
