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

from rungwise.formatting import count, format_end_reason, format_identifier, format_percent
from rungwise.run_log.events import EvaluationRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import TrialOutcome, to_finite_float
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


def plot_learning_curves(outcome: Outcome) -> Plot:
    """Plot scores by iteration: the best trial bold, the others thin, a marker at each end."""
    scored = [trial for trial in outcome.trials if trial.finite_scores]
    if not scored:
        return "No trial has a finite score."
    log = spans_decades([score for trial in scored for score in trial.finite_scores], decades=1)
    figure = _curves(outcome, {t.id: [row.score for row in t.results] for t in scored}, log)
    for name in dict.fromkeys(trial.end_reason for trial in scored if trial.end_reason):
        figure.add_trace(_ends(name, [trial for trial in scored if trial.end_reason == name]))
    for rung in outcome.rungs:
        figure.add_vline(rung, line={"color": MUTED, "width": 1, "dash": "dot"})
    if outcome.rungs:
        rungs = ", ".join(map(str, outcome.rungs))
        figure.update_xaxes(title=f"iteration (dotted: rungs at {rungs})")
    name = f"training score: {format_identifier(outcome.job.metric)}"
    figure.update_yaxes(title=_title(name, log))
    figure.update_layout(height=430, showlegend=True)
    return figure


def plot_metric_curves(outcome: Outcome, name: str, title: str, log: bool = False) -> Plot:
    """Plot a metric by iteration for every trial that reports it."""
    series = {
        trial.id: [row.metrics.get(name) for row in trial.results] for trial in outcome.trials
    }
    series = {trial: values for trial, values in series.items() if _shown(values, log)}
    if not series:
        return f"No trial reports {format_identifier(name)}."
    figure = _curves(outcome, series, log)
    figure.update_yaxes(title=_title(title, log), rangemode="normal" if log else "tozero")
    figure.update_layout(height=300, showlegend=False)
    return figure


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
            trace = [_point(max(value, floor) if log else value, log) for value in losses]
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


def _curves(outcome: Outcome, series: dict[str, list[Any]], log: bool) -> go.Figure:
    figure, best = make_blank_figure(legend=True), outcome.best.id if outcome.best else None
    trials = {trial.id: trial for trial in outcome.trials}
    # Drawn last, the best trial lies above the others.
    for trial in sorted(series, key=lambda trial: trial == best):
        strong = trial == best
        points = [_point(value, log) for value in series[trial]]
        figure.add_scatter(
            x=[row.iteration for row in trials[trial].results],
            y=points,
            mode="lines" if len(points) - points.count(None) > 1 else "markers",
            connectgaps=True,  # a held-out score exists only at some of the iterations
            marker={"size": 4},
            line={"width": 3 if strong else 1, "color": ACCENT if strong else GREY},
            name=f"trial {escape(trial)}, the best" if strong else f"trial {escape(trial)}",
            showlegend=strong,
            hovertemplate=f"trial {escape(trial)}, iteration %{{x}}: %{{y:.3g}}<extra></extra>",
        )
    # Of a program whose budget is not known the axis ends with the newest iteration.
    budget = outcome.job.iterations
    figure.update_xaxes(title="iteration", range=[0, budget * 1.02] if budget else None)
    if log:
        set_log_axis(figure, _shown((y for values in series.values() for y in values), log=True))
    return figure


def _ends(name: str, trials: Sequence[TrialOutcome]) -> go.Scatter:
    colour, symbol = ENDS.get(name, (MUTED, "triangle-up"))
    last = [
        next(r for r in reversed(t.results) if to_finite_float(r.score) is not None) for t in trials
    ]
    return go.Scatter(
        x=[row.iteration for row in last],
        y=[row.score for row in last],
        mode="markers",
        marker={"size": 9, "color": colour, "symbol": symbol},
        name=f"ended: {escape(format_end_reason(name))}",
        text=[fold(f"trial {trial.id}, {trial.status_text}") for trial in trials],
        hovertemplate="%{text}<extra></extra>",
    )


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


def _shown(values: Iterable[Any], log: bool) -> list[float]:
    return [known for value in values if (known := _point(value, log)) is not None]


def _point(value: object, log: bool) -> float | None:
    """Return the value if it can be drawn, else None: a gap in its line."""
    known = to_finite_float(value)
    return None if known is None or (log and known <= 0) else known


def _title(name: str, log: bool) -> str:
    return escape(f"{name} (log scale)" if log else name)


def _policy(evaluation: EvaluationRow, name: str) -> str:
    return escape(name_player(name, evaluation.trial))


def _policy_colour(policy: str, place: int) -> str:
    return MUTED if policy == "random" else PALETTE[place % len(PALETTE)]


@functools.lru_cache(2**15)  # a page draws the same ends of thousands of trials with each result
def fold(text: str, width: int = 60) -> str:
    """Wrap a sentence and escape it: hover labels interpret HTML and do not wrap by themselves."""
    return "<br>".join(escape(line) for line in textwrap.wrap(text, width))
