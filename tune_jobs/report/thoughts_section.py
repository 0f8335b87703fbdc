"""The report section on thoughts: whether they help, by iteration, and examples as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tune_jobs.report.html_parts import figure, render_note, section, table
from tune_jobs.report.plots import ACCENT, MUTED, PALETTE, Plot, make_blank_figure
from tune_jobs.run_log.events import EvaluationRow
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.trial_outcome import HELD_OUT, to_finite_float

LINES = {
    "log_p_with": ("with its thought", ACCENT, "solid"),
    "log_p_without": ("without a thought", MUTED, "solid"),
    "log_p_shuffled": ("with the thought of another place", PALETTE[1], "dot"),
    "log_p_random": ("with random tokens", PALETTE[3], "dash"),
}
"""Metric -> its label, its colour and its stroke, which differs for readers who see no colours."""


def render_thoughts_section(outcome: Outcome) -> list[str]:
    """Render the section; an empty list for a run without thoughts."""
    plot = plot_thought_curves(outcome)
    if isinstance(plot, str):
        return []
    note = render_note(
        "Log-probability of what follows, in nats, mean over the thoughts of an iteration of the "
        "best trial (rings: held-out ones). Thoughts that help lie above all other lines; where "
        "thoughts of another place or random tokens reach the same, they carry no information."
    )
    drawn = figure("thoughts", "", plot, False)
    return [section("Do the thoughts work?", drawn, note, _shown(outcome.evaluation))]


def plot_thought_curves(outcome: Outcome) -> Plot:
    """Plot the log-probability of what follows the best trial's thoughts and their controls."""
    rows = outcome.best.results if outcome.best else ()
    if not any("log_p_with" in row.metrics for row in rows):
        return "The best trial has no thoughts."
    found = make_blank_figure(height=340, legend=True)
    for metric, (name, colour, dash) in LINES.items():
        found.add_scatter(
            **_series(rows, metric),
            name=name,
            mode="lines",
            line={"color": colour, "dash": dash, "width": 2.5 if dash == "solid" else 1.5},
        )
        held = _series(rows, HELD_OUT + metric)
        if any(y is not None for y in held["y"]):
            marker = {"color": colour, "symbol": "circle-open", "size": 7}
            found.add_scatter(**held, name=name, mode="markers", marker=marker, showlegend=False)
    found.update_xaxes(title="iteration", range=[0, outcome.job.iterations * 1.02])
    found.update_yaxes(title="log p of what follows, nats")
    return found


def _series(rows: Sequence[Any], metric: str) -> dict[str, Any]:
    return {
        "x": [row.iteration for row in rows],
        "y": [to_finite_float(row.metrics.get(metric)) for row in rows],
        "hovertemplate": "iteration %{x}: %{y:.3g}",
    }


def _shown(evaluation: EvaluationRow | None) -> str:
    """Render examples of thoughts as a table."""
    rows: Sequence[Mapping[str, str]] = evaluation.examples if evaluation else ()
    if not rows:
        return render_note("No evaluation has recorded examples of thoughts.")
    head = list(rows[0])
    cells = [[escape(row.get(name, "")) for name in head] for row in rows]
    return "<h3>Examples</h3>" + table(head, cells, text=len(head) - 1)
