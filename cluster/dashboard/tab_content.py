"""The parts of the page that are made when they are opened: each is some HTML and some plots.

They are the report's own tables, plots and pictures, so that page and report never differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Any

from cluster.dashboard.run_view import RunView
from envs.validation import InputError
from tune_jobs.formatting import format_duration, format_end_reason, format_percent
from tune_jobs.report import episode_figure, plots
from tune_jobs.report.html_parts import render_note, table
from tune_jobs.report.parallel_coordinates import plot_parallel_coordinates
from tune_jobs.report.plots import Plot
from tune_jobs.run_log.outcome import Outcome

Part = dict[str, Any]
"""``html``, or ``figure`` for Plotly with its ``caption``."""


def build_tab(board: RunView, name: str) -> list[Part]:
    """The parts of a tab.

    Raises:
        InputError: there is no such tab, or nothing of the run has been read.
    """
    if name not in TAB_BUILDERS:
        raise InputError(f"There is no tab {name!r}: there are {', '.join(TAB_BUILDERS)}.")
    best = board.build_outcome().best
    return TAB_BUILDERS[name](board.build_outcome(full_trial=best.id if best else ""))


def _ledger(outcome: Outcome) -> list[Part]:
    rows: list[list[str]] = []
    for trial in outcome.trials:
        saved = trial.seconds_saved
        cells = [
            f"{trial.iterations:,}",
            f"{trial.iterations_not_run:,}",
            f"{trial.iterations_saved:,}",
        ]
        spent = [format_duration(trial.seconds), "-" if saved is None else format_duration(saved)]
        why = format_end_reason(trial.end_reason) if trial.end_reason else "open"
        rows.append([escape(trial.id), escape(why), *cells, *spent])
    seconds = sum(trial.seconds for trial in outcome.trials)
    spared = sum(trial.seconds_saved or 0.0 for trial in outcome.trials)
    not_run = sum(trial.iterations_not_run for trial in outcome.trials)
    saved = sum(outcome.iterations_saved_by_reason.values())
    sums = [f"{outcome.iterations_run:,}", f"{not_run:,}", f"{saved:,}"]
    total = ["<b>all</b>", format_percent(outcome.compute_saved) + " saved", *sums]
    rows.append([*total, format_duration(seconds), format_duration(spared)])
    head = ["trial", "ended by", "run", "not run", "saved", "trained for", "time saved, estimated"]
    note = "Iterations; the time is estimated from each trial's own seconds per iteration."
    return [
        _plot("The budget", plots.plot_compute(outcome)),
        _html(table(head, rows, 2), render_note(note)),
    ]


def _comparison(outcome: Outcome) -> list[Part]:
    plot = plot_parallel_coordinates(outcome)
    key = (
        ""
        if isinstance(plot, str)
        else render_note("A line is a trial; blue is better, orange worse.")
    )
    return [_html(key), _plot("", plot) | {"wide": True}]


def _picture(outcome: Outcome) -> list[Part]:
    told = outcome.evaluation.experiment if outcome.evaluation else {}
    parts = [_html(*episode_figure.render_episode_section(told))]
    parts.append(_plot("Choices of the best trial", plots.plot_choices_over_time(outcome)))
    parts.append(_plot("Choices, by policy", plots.plot_choices_by_policy(outcome)))
    losses = plots.node_losses(outcome.evaluation)
    return parts + [_plot(f"Loss of {node} by interventions", p) for node, p in losses.items()]


TAB_BUILDERS: dict[str, Callable[[Outcome], list[Part]]] = {
    "comparison": _comparison,
    "ledger": _ledger,
    "picture": _picture,
}
"""By the name that the page asks for."""


def _html(*parts: str) -> Part:
    return {"html": "".join(parts)}


def _plot(caption: str, plot: Plot) -> Part:
    if isinstance(plot, str):
        return _html(render_note(plot))
    figure = json.loads(plot.to_json() or "{}")
    return {"caption": caption, "figure": {"data": figure["data"], "layout": figure["layout"]}}
