"""Live progress of a sweep in the terminal.

It is drawn from the event rows and printed on stderr: on a terminal a table that stays in place,
otherwise a plain line every few seconds and one for each trial that ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.errors import PlainConsole
from cluster.terminal.event_lines import format_row, shorten_result
from cluster.terminal.startup import format_activity
from cluster.terminal.trial_table import choose_visible_trials, make_trial_table
from cluster.terminal.widgets import estimate_seconds_left, join_lines, summarise_outcome
from rungwise.formatting import count
from rungwise.run_log.evaluation_status import EvaluationStatus
from rungwise.run_log.events import (
    JobEndRow,
    JobRow,
    ResultRow,
    Row,
)
from rungwise.run_log.outcome import Outcome, OutcomeBuilder

LINE_INTERVAL_S = 5.0
"""Seconds between two plain lines."""
START_TRIALS = "Starting the trials: importing PyTorch, building environments"
START_PROGRAM = "Waiting for the first row of the program's log"
FINISH = "Writing the report, and stopping the processes"
"""Work before the first result, and after the end."""
FRAME_LINES = 5
"""Lines of a screen that are not trials: heading, hidden trials, summary, cursor."""


class ProgressDisplay:
    """Live display of a sweep: a context manager that is updated with every new row.

    Args:
        job: the job row of this start.
        earlier: the rows before it, if the run is resumed.
        console: the console to draw on; by default stderr.
        clock: returns seconds, to time the plain lines.
    """

    def __init__(
        self,
        job: JobRow,
        earlier: Iterable[Row] = (),
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or PlainConsole(stderr=True)
        self._clock = clock
        self._builder = OutcomeBuilder()
        for row in (*earlier, job):
            self._builder.add(row)
        self._started_at, self._metric = job.time, job.metric
        # Iterations of earlier starts took no time of this one: the time left is estimated without
        # them.
        self._iterations_before = self._builder.build_outcome().iterations_run
        self._now = job.time
        self._printed_at = self._activity_began = clock()
        # Until the first result nothing changes for 10 to 60 s, while the trials' processes start.
        self._activity = START_PROGRAM if job.is_program else START_TRIALS
        self._evaluating: EvaluationStatus | None = None
        # A thread of rich draws the live table.
        self._lock = threading.Lock()
        self._live = (
            Live(
                console=self._console,
                get_renderable=self._render_screen,
                refresh_per_second=4,
                transient=True,
            )
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> ProgressDisplay:
        if self._live is not None:
            self._live.start()
        else:
            self._print_line(f"{self._activity} ...")
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, row: Row | EvaluationStatus) -> None:
        """Show one row of the log, or the progress of an evaluation."""
        if isinstance(row, EvaluationStatus):
            self._update_evaluation(row)
            return
        with self._lock:
            self._evaluating = None
            if isinstance(row, ResultRow):
                self._activity = ""
            elif isinstance(row, JobEndRow):
                self._activity, self._activity_began = FINISH, self._clock()
            self._builder.add(shorten_result(row))
            self._now = max(self._now, row.time)
        if self._live is None:
            self._print_row(row)

    def _print_row(self, row: Row) -> None:
        if lines := format_row(row, self._builder):
            for line in lines:
                self._print_line(line)
        elif self._clock() - self._printed_at >= LINE_INTERVAL_S:
            if isinstance(row, ResultRow) and not row.iteration:
                trial = self._builder.build_trial_outcome(row.trial)
                self._print_line(f"trial {trial.id} {trial.status_text}")
            else:
                self._print_line(self._summarise(self._builder.build_outcome()))
            self._printed_at = self._clock()

    def _update_evaluation(self, status: EvaluationStatus) -> None:
        with self._lock:
            last = self._evaluating
            is_new = last is None or (last.trial, last.activity) != (status.trial, status.activity)
            if is_new:
                self._activity_began = self._clock()
            self._evaluating = status
        if self._live is None and (is_new or self._clock() - self._printed_at >= LINE_INTERVAL_S):
            self._print_line(self._format_evaluation(status))
            self._printed_at = self._clock()

    def _format_evaluation(self, status: EvaluationStatus) -> str:
        seconds = self._clock() - self._activity_began
        return format_activity(f"trial {status.trial} {status}", seconds)

    def _print_line(self, text: str) -> None:
        self._console.print(Text(join_lines(text)), soft_wrap=True)

    def _render_screen(self) -> Table:
        with self._lock:
            outcome, evaluating = self._builder.build_outcome(), self._evaluating
            activity = self._activity
        size = self._console.size
        shown = choose_visible_trials(outcome, max(1, size.height - FRAME_LINES))
        grid = Table.grid(expand=True)
        grid.add_row(make_trial_table(outcome, shown, size.width, live=True))
        hidden = len(outcome.trials) - len(shown)
        if hidden:
            grid.add_row(Text(f" and {count(hidden, 'other trial')}", style="dim"))
        if evaluating:
            last = self._format_evaluation(evaluating)
        elif activity:
            last = format_activity(activity, self._clock() - self._activity_began)
        else:
            last = self._summarise(outcome)
        grid.add_row(Text(f" {last}", overflow="ellipsis", no_wrap=True))
        return grid

    def _summarise(self, outcome: Outcome) -> str:
        done = outcome.iterations_run - self._iterations_before
        seconds = estimate_seconds_left(outcome, done, self._now - self._started_at)
        return summarise_outcome(outcome, seconds)


class EvaluationProgress:
    """Progress of a single evaluation on stderr, as a context manager."""

    def __init__(
        self,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        activity: str = "evaluating",
    ) -> None:
        self._console = console or PlainConsole(stderr=True)
        self._clock, self._printed_at, self._activity = clock, clock(), activity
        self._status = self._console.status(activity) if self._console.is_terminal else None

    def __enter__(self) -> EvaluationProgress:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, player: str, episodes: int, of: int, steps: int = 0) -> None:
        """Show how many episodes a player has finished, and the steps of those in progress."""
        line = Text(str(EvaluationStatus("", player, episodes, of, steps, self._activity)))
        if self._status:
            self._status.update(line)
        elif self._clock() - self._printed_at >= LINE_INTERVAL_S:
            self._console.print(line, soft_wrap=True)
            self._printed_at = self._clock()
