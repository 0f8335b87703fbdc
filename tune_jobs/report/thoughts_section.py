"""Whether thoughts work, drawn over training, and some of them in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tune_jobs.evaluation.scoring import HELD_OUT
from tune_jobs.report.html_parts import figure, render_note, section, table
from tune_jobs.report.plots import ACCENT, MUTED, PALETTE, Plot, make_blank_figure
from tune_jobs.run_log.events import EvaluationRow
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.trial_outcome import to_finite_float

LINES = {
    "log_p_with": ("with its thought", ACCENT, "solid"),
    "log_p_without": ("without a thought", MUTED, "solid"),
    "log_p_shuffled": ("with the thought of another place", PALETTE[1], "dot"),
    "log_p_random": ("with random tokens", PALETTE[3], "dash"),
}
"""Metric -> what it is called, its colour and its stroke, which speaks where colour does not."""


def render_thoughts_section(outcome: Outcome) -> list[str]:
    """The section of a report; nothing for a run that thinks no thoughts."""
    plot = curves(outcome)
    if isinstance(plot, str):
        return []
    note = render_note(
        "Log-probability of what follows, in nats, mean over the thoughts of an iteration of the "
        "best trial (rings: held-out ones). Thoughts that work lie above all other lines; where "
        "those of another place or random tokens do as well, they are theatre."
    )
    drawn = figure("thoughts", "", plot, False)
    return [section("Do the thoughts work?", drawn, note, _shown(outcome.evaluation))]


def curves(outcome: Outcome) -> Plot:
    """What the reader makes of the best trial's thoughts, and of less, by iteration."""
    rows = outcome.best.results if outcome.best else ()
    if not any("log_p_with" in row.metrics for row in rows):
        return "The best trial thinks no thoughts."
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
    """Thoughts in words."""
    rows: Sequence[Mapping[str, str]] = evaluation.examples if evaluation else ()
    if not rows:
        return render_note("No evaluation has kept examples of its thoughts.")
    head = list(rows[0])
    cells = [[escape(row.get(name, "")) for name in head] for row in rows]
    return "<h3>Some of them</h3>" + table(head, cells, text=len(head) - 1)
