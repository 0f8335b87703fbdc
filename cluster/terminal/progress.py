"""A sweep in the terminal while it runs, and its result when it has ended.

Both are drawn from the event rows. Progress goes to stderr: a table that stays in place on a
terminal, else one plain line every few seconds and one for each trial that ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.terminal.widgets import (
    WIDEST,
    bar,
    estimated_seconds,
    one_line,
    settings_shown,
    short,
    sparkline,
    summary,
)
from tune_jobs.evaluation.evaluation_status import EvaluationStatus, format_episode_count
from tune_jobs.formatting import (
    count,
    format_end_reason,
    format_identifier,
    format_measurement,
    format_number,
    format_percent,
)
from tune_jobs.run_log.events import (
    DISPROVED,
    EndRow,
    EvaluationRow,
    FindingRow,
    JobRow,
    ResultRow,
    Row,
)
from tune_jobs.run_log.outcome import Outcome, OutcomeBuilder
from tune_jobs.run_log.trial_outcome import TrialOutcome

EVERY = 5.0
"""Seconds between two plain lines."""
ROOMY = 100
"""From this width on there is room for long bars and small curves."""
STATE = 28
"""Columns kept for the state, which says most."""
FRAME = 5
"""Lines of a screen that are not trials: heading, what is hidden, summary, cursor."""


class ProgressDisplay:
    """Shows a running sweep; use it in a ``with`` statement and give it every new row.

    Args:
        job: the job row of this start.
        earlier: the rows of the log before it, of a run that is resumed.
        console: where to draw; stderr by default.
        clock: seconds, for the plain lines.
    """

    def __init__(
        self,
        job: JobRow,
        earlier: Iterable[Row] = (),
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._tally = OutcomeBuilder()
        for row in (*earlier, job):
            self._tally.add(row)
        self._started_at, self._metric = job.time, job.metric
        self._run_before = self._tally.build_outcome().iterations_run
        self._now = job.time
        self._printed = clock()
        self._evaluating: EvaluationStatus | None = None
        # The live table is drawn by a thread of its own.
        self._lock = threading.Lock()
        self._live = (
            Live(
                console=self._console,
                get_renderable=self._screen,
                refresh_per_second=4,
                transient=True,
            )
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> ProgressDisplay:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, row: Row | EvaluationStatus) -> None:
        """Take one row of the log, or how far an evaluation has come, and show what it changes."""
        if isinstance(row, EvaluationStatus):
            self._evaluated(row)
            return
        with self._lock:
            self._evaluating = None
            # The table shows no metrics: kept for every iteration they would fill the memory.
            self._tally.add(replace(row, metrics={}) if isinstance(row, ResultRow) else row)
            self._now = max(self._now, row.time)
        if self._live is None:
            self._print(row)

    def _print(self, row: Row) -> None:
        if isinstance(row, EndRow):
            trial = self._tally.build_trial_outcome(row.trial)
            score = f"{format_identifier(self._metric)} {format_measurement(trial.score)}"
            self._line(
                f"trial {trial.id} {trial.iterations}/{trial.budget} {score} {trial.status_text}"
            )
        elif isinstance(row, FindingRow) and row.severity == "warn":  # a stop is told as an end
            self._line(f"trial {row.trial} {_said(row)}")
        elif self._clock() - self._printed >= EVERY:
            self._line(self._summary(self._tally.build_outcome()))
            self._printed = self._clock()

    def _evaluated(self, far: EvaluationStatus) -> None:
        with self._lock:
            self._evaluating = far
        if self._live is None and self._clock() - self._printed >= EVERY:
            self._line(f"trial {far.trial} {far}")
            self._printed = self._clock()

    def _line(self, text: str) -> None:
        self._console.print(Text(one_line(text)), soft_wrap=True)

    def _screen(self) -> Table:
        with self._lock:
            outcome, far = self._tally.build_outcome(), self._evaluating
        size = self._console.size
        shown = choose_visible_trials(outcome, max(1, size.height - FRAME))
        grid = Table.grid(expand=True)
        grid.add_row(make_trial_table(outcome, shown, size.width, live=True))
        hidden = len(outcome.trials) - len(shown)
        if hidden:
            grid.add_row(Text(f" and {count(hidden, 'other trial')}", style="dim"))
        last = f"trial {far.trial} {far}" if far else self._summary(outcome)
        grid.add_row(Text(f" {last}", overflow="ellipsis", no_wrap=True))
        return grid

    def _summary(self, outcome: Outcome) -> str:
        done = outcome.iterations_run - self._run_before
        left = estimated_seconds(outcome, done, self._now - self._started_at)
        return summary(outcome, left)


class EvaluationProgress:
    """Shows on stderr how far an evaluation on its own has come; use it in a ``with`` statement."""

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console or Console(stderr=True)
        self._clock, self._printed = clock, clock()
        self._status = self._console.status("evaluating") if self._console.is_terminal else None

    def __enter__(self) -> EvaluationProgress:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, player: str, episodes: int, of: int) -> None:
        """Show that a player has finished this many episodes."""
        said = Text(str(EvaluationStatus("", player, episodes, of)))
        if self._status:
            self._status.update(said)
        elif self._clock() - self._printed >= EVERY:
            self._console.print(said, soft_wrap=True)
            self._printed = self._clock()


def choose_visible_trials(outcome: Outcome, max_trials: int) -> list[TrialOutcome]:
    """The trials for a screen of so many rows, by id: running ones, the best, the latest ended."""

    def urgency(trial: TrialOutcome) -> tuple[bool, bool, float]:
        last = trial.results[-1].time if trial.results else 0.0
        return trial.end_reason is not None, trial is not best, -last

    best = outcome.best
    chosen = {trial.id for trial in sorted(outcome.trials, key=urgency)[:max_trials]}
    return [trial for trial in outcome.trials if trial.id in chosen]


def make_trial_table(
    outcome: Outcome, trials: Sequence[TrialOutcome], width: int, live: bool
) -> Table:
    """Trials as rows within a width: a narrow screen has fewer settings and no small curve.

    Args:
        outcome: the run.
        trials: the trials to show.
        width: columns of the screen.
        live: a bar for each trial, and its state cut to one line; else the state may wrap.
    """
    job, best = outcome.job, outcome.best
    bar_width = (10 if width >= ROOMY else 5) if live else 0
    curve_width = 8 if width >= ROOMY else 0
    numbers = 2 * len(str(job.iterations)) + 1 + (bar_width and bar_width + 1)
    columns = (5, max(9, numbers), min(WIDEST, max(10, len(job.metric))), curve_width, STATE)
    searched = settings_shown(job.searched, trials, width - sum(columns) - 2 * len(columns))
    table = Table(box=None, padding=(0, 1), width=width, header_style="bold")
    for name in (
        "trial",
        *(short(name) for name in searched),
        "iteration",
        format_identifier(job.metric),
    ):
        table.add_column(name, no_wrap=True, max_width=None if name == "iteration" else WIDEST)
    if curve_width:
        table.add_column("", no_wrap=True)
    table.add_column("state", ratio=1, no_wrap=live, overflow="ellipsis" if live else "fold")
    for trial in trials:
        cells = [trial.id, *(format_number(trial.config.get(name)) for name in searched)]
        cells += [bar(trial.iterations, trial.budget, bar_width), format_measurement(trial.score)]
        if curve_width:
            cells.append(sparkline(trial.finite_scores, curve_width))
        style = "bold" if best is not None and trial.id == best.id else ""
        table.add_row(*(Text(one_line(cell)) for cell in (*cells, _state(trial))), style=style)
    return table


def _state(trial: TrialOutcome) -> str:
    """How a trial stands; of a running one, too, whether the others share what was noticed."""
    warning = trial.warning
    if trial.end_reason is None and warning and warning.siblings:
        return f"running, {_format_finding(warning)}"
    return trial.status_text


def _said(row: FindingRow) -> str:
    if row.withdrawn:
        return f"{format_identifier(row.symptom)} withdrawn: {DISPROVED}"
    return f"{_format_finding(row)}: {row.evidence}"


def _format_finding(row: FindingRow) -> str:
    noticed = f"{format_identifier(row.symptom)} noticed"
    return f"{noticed} ({row.siblings})" if row.siblings else noticed


def print_outcome(outcome: Outcome, console: Console, directory: str | Path | None = None) -> None:
    """Print the result of a sweep: the table, the best, the comparison, the compute.

    Args:
        outcome: the run.
        console: where to print.
        directory: the run directory; with it the last line says where the report is.
    """
    best_first = sorted(
        outcome.trials,
        key=lambda trial: (
            trial.finite_score is None,
            (trial.finite_score or 0.0) * (-1 if outcome.job.mode == "max" else 1),
        ),
    )
    console.print(make_trial_table(outcome, best_first, console.width, live=False))
    console.print()
    lines = [f"{format_identifier(name)}: {said}" for name, said in outcome.siblings.items()]
    if outcome.end and outcome.end.reason == "error":
        lines.append(f"Failed: {outcome.end.sentence or 'the log does not say why'}")
    lines += [
        _best(outcome),
        *_format_evaluation(outcome.evaluation),
        _compute(outcome),
    ]
    if directory is not None:
        if outcome.best and outcome.best.checkpoint:
            lines.append(f"Checkpoint: {Path(directory) / outcome.best.checkpoint}")
        lines.append(f"Report: {Path(directory) / 'report.html'}")
        open_ends = any(t.end_reason in (None, "interrupted") for t in outcome.trials)
        again = "Go on: rungwise resume" if open_ends else "Look again: rungwise report"
        lines.append(f"{again} {directory}")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _best(outcome: Outcome) -> str:
    best = outcome.best
    if best is None:
        kind = "finite score" if any(t.score is not None for t in outcome.trials) else "score"
        return f"Best: none, because no trial has a {kind}."
    score = f"{format_identifier(outcome.job.metric)} {format_measurement(best.score)}"
    trained = f"{score} after {count(best.iterations, 'iteration')}"
    if (won := outcome.won) is None:
        return f"Best: trial {best.id}, {trained}"
    score, error = format_measurement(won.score), format_measurement(won.error)
    final = f"{format_identifier(won.metric)} {score} ± {error}"
    return f"Best: trial {best.id}, by {outcome.best_by}: {final} (in training {trained})"


def _format_evaluation(evaluation: EvaluationRow | None) -> list[str]:
    if evaluation is None or not evaluation.policy:
        return []
    figures = ", ".join(
        f"{format_identifier(k)} {format_measurement(v)}" for k, v in evaluation.policy.items()
    )
    episodes = format_episode_count(evaluation, "fresh episode")
    lines = [f"Evaluated: trial {evaluation.trial} on {episodes}: {figures}"]
    first = next(iter(evaluation.policy))
    others = [
        f"{name} {format_measurement(v.get(first))}" for name, v in evaluation.baselines.items()
    ]
    if others:
        lines.append(
            f"Compared on the same seeds ({format_identifier(first)}): {' · '.join(others)}"
        )
    return lines


def _compute(outcome: Outcome) -> str:
    run = f"Compute: {outcome.iterations_run:,} of {outcome.budget:,} iterations run"
    saved = f"{format_percent(outcome.compute_saved)} saved"
    parts = [
        f"{format_end_reason(name)} {format_percent(iterations / outcome.budget)}"
        for name, iterations in outcome.iterations_saved_by_reason.items()
    ]
    line = f"{run}, {saved}" + (f" ({', '.join(parts)})" if parts else "")
    if outcome.iterations_open:
        line += f", {outcome.iterations_open:,} still open"
    return line
