"""The lineage of a population as one small figure: which trial continued from which."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from rungwise.run_log.outcome import Outcome
from tune_jobs.report.plots import Plot, make_blank_figure

LINE, WINNER = "#9aa0a6", "#1f6fb4"


def trace_ancestry(outcome: Outcome, trial: str) -> list[tuple[str, int, int]]:
    """Trace the training behind a trial's policy: (trial, first, last iteration), oldest first."""
    exploits = {t.id: t.exploits for t in outcome.trials}
    ends = {t.id: t.iterations for t in outcome.trials}
    pieces: list[tuple[str, int, int]] = []
    last = ends[trial]
    # Backwards from the end. Only strictly earlier exploits: `last` falls with every step, so that
    # the loop ends whatever the log holds.
    while True:
        earlier = [row for row in exploits[trial] if row.iteration < last]
        if not earlier:
            return [(trial, 0, last), *reversed(pieces)]
        row = earlier[-1]
        pieces.append((trial, row.iteration, last))
        trial, last = row.donor, row.iteration


def plot_lineage(outcome: Outcome) -> Plot:
    """Plot each trial as a line over its iterations, each exploit as a step from the donor's line.

    The past of the best trial is drawn in blue.
    """
    exploits = [row for trial in outcome.trials for row in trial.exploits]
    if not exploits:
        return "No trial continued from another one."
    heights = {trial.id: -row for row, trial in enumerate(outcome.trials)}
    figure = make_blank_figure(height=80 + 22 * len(heights))
    for trial in outcome.trials:
        figure.add_trace(_line([0, trial.iterations], [heights[trial.id]] * 2, LINE, 1, ""))
    for row in exploits:
        xs, ys = [row.iteration] * 2, [heights[row.donor], heights[row.trial]]
        figure.add_trace(_line(xs, ys, LINE, 1, f"trial {row.trial} {row.sentence}"))
    if best := outcome.best:
        past = trace_ancestry(outcome, best.id)
        xs = [at for _, first, last in past for at in (first, last)]
        ys = [heights[trial] for trial, _, _ in past for _ in range(2)]
        figure.add_trace(_line(xs, ys, WINNER, 3, f"trial {best.id}"))
    figure.update_yaxes(
        tickvals=list(heights.values()), ticktext=[f"trial {escape(trial)}" for trial in heights]
    )
    figure.update_xaxes(title="iteration")
    return figure


def _line(xs: list[int], ys: list[int], colour: str, width: int, text: str) -> go.Scatter:
    return go.Scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": colour, "width": width},
        text=escape(text),
        hoverinfo="text" if text else "skip",
        showlegend=False,
    )
