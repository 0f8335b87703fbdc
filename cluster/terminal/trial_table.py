"""Table of trials in the terminal: which trials are shown, and what of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from cluster.terminal.widgets import (
    MAX_WIDTH,
    choose_settings,
    draw_bar,
    draw_sparkline,
    join_lines,
    shorten_name,
)
from rungwise.formatting import format_identifier, format_measurement, format_number
from rungwise.run_log.events import FindingRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import TrialOutcome

WIDE_SCREEN = 100
"""Width from which there is room for long bars and small curves."""
STATE_WIDTH = 28
"""Width reserved for the state, the most informative column."""


def choose_visible_trials(outcome: Outcome, max_trials: int) -> list[TrialOutcome]:
    """Choose the trials to show: running ones, the best, then the last that ended; by id."""

    def urgency(trial: TrialOutcome) -> tuple[bool, bool, float]:
        last = trial.results[-1].time if trial.results else 0.0
        return trial.end_reason is not None, trial is not best, -last

    best = outcome.best
    chosen = {trial.id for trial in sorted(outcome.trials, key=urgency)[:max_trials]}
    return [trial for trial in outcome.trials if trial.id in chosen]


def make_trial_table(
    outcome: Outcome, trials: Sequence[TrialOutcome], width: int, live: bool
) -> Table:
    """Make a table of trials: the same columns during a run and after it.

    A narrow screen shows fewer settings and no small curve.

    Args:
        outcome: the run.
        trials: the trials to show.
        width: width of the screen, in characters.
        live: cut the states to one line; otherwise they may wrap.
    """
    job, best = outcome.job, outcome.best
    bar_width = 10 if width >= WIDE_SCREEN else 5
    curve_width = 8 if width >= WIDE_SCREEN else 0
    numbers = 2 * len(str(job.iterations)) + 2 + bar_width
    columns = (
        5,
        max(9, numbers),
        min(MAX_WIDTH, max(10, len(job.metric))),
        curve_width,
        STATE_WIDTH,
    )
    # Chosen by all trials: by those shown the columns would change with them.
    free = width - sum(columns) - 2 * len(columns)
    searched = choose_settings(job.searched, outcome.trials, free)
    table = Table(box=None, padding=(0, 1), width=width, header_style="bold")
    for name in (
        "trial",
        *(shorten_name(name) for name in searched),
        "iteration",
        format_identifier(job.metric),
    ):
        table.add_column(name, no_wrap=True, max_width=None if name == "iteration" else MAX_WIDTH)
    if curve_width:
        table.add_column("", no_wrap=True)
    table.add_column("state", ratio=1, no_wrap=live, overflow="ellipsis" if live else "fold")
    for trial in trials:
        cells = [trial.id, *(format_number(trial.config.get(name)) for name in searched)]
        cells += [
            draw_bar(trial.iterations, trial.budget, bar_width),
            format_measurement(trial.score),
        ]
        if curve_width:
            cells.append(draw_sparkline(trial.finite_scores, curve_width))
        style = "bold" if best is not None and trial.id == best.id else ""
        # Cells are Text: rich would interpret brackets in plain strings as markup.
        table.add_row(
            *(Text(join_lines(cell)) for cell in (*cells, _format_state(trial))), style=style
        )
    return table


def _format_state(trial: TrialOutcome) -> str:
    """Format the state of a trial, and of a running one whether other trials share its finding."""
    warning = trial.warning
    if trial.end_reason is None and warning and warning.siblings:
        return f"running, {format_finding(warning)}"
    return trial.status_text


def format_finding(row: FindingRow) -> str:
    """Format a finding, and whether other trials share it."""
    symptom = format_identifier(row.symptom)
    return f"{symptom} ({row.siblings})" if row.siblings else symptom
