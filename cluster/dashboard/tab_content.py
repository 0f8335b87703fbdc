"""Contents of the page's tabs: HTML and plots, made when a tab is opened.

They are the tables, plots and pictures of the report, so that page and report never differ.
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
from tune_jobs.report.importance import render_importance
from tune_jobs.report.parallel_coordinates import plot_parallel_coordinates
from tune_jobs.report.plots import Plot
from tune_jobs.run_log.outcome import Outcome

Part = dict[str, Any]
"""A part of a tab: ``html``, or a ``figure`` for Plotly with its ``caption``."""


def build_tab(view: RunView, name: str) -> list[Part]:
    """Build the parts of a tab.

    Raises:
        InputError: there is no such tab, or the run has no rows yet.
    """
    if name not in TAB_BUILDERS:
        raise InputError(f"There is no tab {name!r}: known are {', '.join(TAB_BUILDERS)}.")
    # Only the best trial gets all stored results, for its choices over time: each of them is read
    # from the log.
    best = view.build_outcome().best
    return TAB_BUILDERS[name](view.build_outcome(full_trial=best.id if best else ""))


def _build_ledger(outcome: Outcome) -> list[Part]:
    rows: list[list[str]] = []
    for trial in outcome.trials:
        saved = trial.seconds_saved
        cells = [
            f"{trial.iterations:,}",
            f"{trial.iterations_not_run:,}",
            f"{trial.iterations_saved:,}",
        ]
        spent = [format_duration(trial.seconds), "-" if saved is None else format_duration(saved)]
        reason = format_end_reason(trial.end_reason) if trial.end_reason else "open"
        rows.append([escape(trial.id), escape(reason), *cells, *spent])
    seconds = sum(trial.seconds for trial in outcome.trials)
    seconds_saved = sum(trial.seconds_saved or 0.0 for trial in outcome.trials)
    not_run = sum(trial.iterations_not_run for trial in outcome.trials)
    saved = sum(outcome.iterations_saved_by_reason.values())
    sums = [f"{outcome.iterations_run:,}", f"{not_run:,}", f"{saved:,}"]
    total = ["<b>all</b>", format_percent(outcome.compute_saved) + " saved", *sums]
    rows.append([*total, format_duration(seconds), format_duration(seconds_saved)])
    head = ["trial", "ended by", "run", "not run", "saved", "trained for", "time saved, estimated"]
    note = "Iterations; the time is estimated from each trial's own seconds per iteration."
    return [
        _plot("The budget", plots.plot_compute(outcome)),
        _html(table(head, rows, 2), render_note(note)),
    ]


def _build_comparison(outcome: Outcome) -> list[Part]:
    plot = plot_parallel_coordinates(outcome)
    key = (
        ""
        if isinstance(plot, str)
        else render_note("Each line is a trial; blue is better, orange is worse.")
    )
    return [_html(key), _plot("", plot) | {"wide": True}, _html(render_importance(outcome))]


def _build_picture(outcome: Outcome) -> list[Part]:
    episode = outcome.evaluation.experiment if outcome.evaluation else {}
    parts = [_html(*episode_figure.render_episode_section(episode))]
    parts.append(_plot("Choices of the best trial", plots.plot_choices_over_time(outcome)))
    parts.append(_plot("Choices, by policy", plots.plot_choices_by_policy(outcome)))
    losses = plots.plot_node_losses(outcome.evaluation)
    return parts + [_plot(f"Loss of {node} by interventions", p) for node, p in losses.items()]


TAB_BUILDERS: dict[str, Callable[[Outcome], list[Part]]] = {
    "comparison": _build_comparison,
    "ledger": _build_ledger,
    "picture": _build_picture,
}
"""Builder of each tab by its name."""


def _html(*parts: str) -> Part:
    return {"html": "".join(parts)}


def _plot(caption: str, plot: Plot) -> Part:
    if isinstance(plot, str):
        return _html(render_note(plot))
    figure = json.loads(plot.to_json() or "{}")
    return {"caption": caption, "figure": {"data": figure["data"], "layout": figure["layout"]}}
