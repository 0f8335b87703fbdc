"""The parts of the page that are made when they are opened: each is some HTML and some plots.

They are the report's own tables, plots and pictures, so that page and report never differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Any

from cluster.dashboard.board import Board
from envs.validation import InputError
from tune_jobs import experiment, figures
from tune_jobs.figures import Plot
from tune_jobs.outcome import Outcome
from tune_jobs.page import missing, table
from tune_jobs.parallel import parallel_coordinates
from tune_jobs.words import duration, percent, reason

Part = dict[str, Any]
"""``html``, or ``figure`` for Plotly with its ``caption``."""


def tab(board: Board, name: str) -> list[Part]:
    """The parts of a tab.

    Raises:
        InputError: there is no such tab, or nothing of the run has been read.
    """
    if name not in TABS:
        raise InputError(f"There is no tab {name!r}: there are {', '.join(TABS)}.")
    best = board.outcome().best
    return TABS[name](board.outcome(full=best.id if best else ""))


def _ledger(outcome: Outcome) -> list[Part]:
    rows: list[list[str]] = []
    for trial in outcome.trials:
        saved = trial.seconds_saved
        cells = [f"{trial.iterations:,}", f"{trial.not_run:,}", f"{trial.saved:,}"]
        spent = [duration(trial.seconds), "-" if saved is None else duration(saved)]
        why = reason(trial.end_reason) if trial.end_reason else "open"
        rows.append([escape(trial.id), escape(why), *cells, *spent])
    seconds = sum(trial.seconds for trial in outcome.trials)
    spared = sum(trial.seconds_saved or 0.0 for trial in outcome.trials)
    not_run = sum(trial.not_run for trial in outcome.trials)
    saved = sum(outcome.saved.values())
    sums = [f"{outcome.iterations_run:,}", f"{not_run:,}", f"{saved:,}"]
    total = ["<b>all</b>", percent(outcome.compute_saved) + " saved", *sums]
    rows.append([*total, duration(seconds), duration(spared)])
    head = ["trial", "ended by", "run", "not run", "saved", "trained for", "time saved, estimated"]
    note = "Iterations; the time is estimated from each trial's own seconds per iteration."
    return [
        _plot("The budget", figures.compute(outcome)),
        _html(table(head, rows, 2), missing(note)),
    ]


def _comparison(outcome: Outcome) -> list[Part]:
    plot = parallel_coordinates(outcome)
    key = (
        "" if isinstance(plot, str) else missing("A line is a trial; blue is better, orange worse.")
    )
    return [_html(key), _plot("", plot) | {"wide": True}]


def _picture(outcome: Outcome) -> list[Part]:
    told = outcome.evaluation.experiment if outcome.evaluation else {}
    parts = [_html(*experiment.told(told))]
    parts.append(_plot("Choices of the best trial", figures.choices_over_time(outcome)))
    parts.append(_plot("Choices, by policy", figures.choices_compared(outcome)))
    losses = figures.node_losses(outcome.evaluation)
    return parts + [_plot(f"Loss of {node} by interventions", p) for node, p in losses.items()]


TABS: dict[str, Callable[[Outcome], list[Part]]] = {
    "comparison": _comparison,
    "ledger": _ledger,
    "picture": _picture,
}
"""By the name that the page asks for."""


def _html(*parts: str) -> Part:
    return {"html": "".join(parts)}


def _plot(caption: str, plot: Plot) -> Part:
    if isinstance(plot, str):
        return _html(missing(plot))
    figure = json.loads(plot.to_json() or "{}")
    return {"caption": caption, "figure": {"data": figure["data"], "layout": figure["layout"]}}
