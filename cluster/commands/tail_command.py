"""The command ``tail``: follow a run by its event log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from cluster.commands.command import Command
from cluster.errors import CommandFailed
from rungwise.formatting import format_command
from rungwise.run_directory import JOB
from rungwise.validation import unknown_name_error

if TYPE_CHECKING:
    from cluster.errors import Terminal
    from rungwise.run_log.outcome import Outcome

LOG = "events.jsonl"
INTERVAL_S = 0.5
"""Seconds between two looks at the log."""
MAX_TRIALS = 10
"""Trials of the table at the start."""


@dataclass(frozen=True, kw_only=True)
class TailCommand(Command):
    """Print what has happened in a run, and follow it to its end: `rungwise tail RUN`."""

    run: tyro.conf.Positional[Path]
    """The run directory, or its name in runs/."""
    json: bool = False
    """Print the rows of its event log, one JSON object a line, and nothing else on stdout."""

    def __call__(self, console: Terminal) -> None:
        """Follow the run until the job ends, or Ctrl-C."""
        directory = find_run(self.run)
        from rich.text import Text

        from cluster.terminal.event_lines import EventLines, shorten_result
        from cluster.terminal.outcome_text import print_outcome
        from cluster.terminal.widgets import join_lines
        from rungwise.run_log.driver_lock import describe_lost_driver
        from rungwise.run_log.event_log import decode_row_or_none, encode_row
        from rungwise.run_log.outcome import OutcomeBuilder

        builder, events, has_caught_up, has_job = OutcomeBuilder(), EventLines(), False, False
        for line in follow_log(directory):
            if line is None:  # nothing more for now
                if has_job and not has_caught_up:
                    _print_so_far(builder.build_outcome(), console)
                elif not has_caught_up:
                    console.print(f"{directory} has not started yet.", highlight=False)
                has_caught_up = True
                continue
            if (row := decode_row_or_none(line)) is None:
                continue  # left by a killed writer; `rungwise report` warns of it
            has_job |= row.kind == "job"
            builder.add(shorten_result(row))
            console.print_row(encode_row(row))
            for text in events.format(row, builder) if has_caught_up else ():
                console.print(Text(join_lines(text)), soft_wrap=True)
        if not has_job:
            raise CommandFailed(
                {},
                f"{directory} failed before it began: {describe_lost_driver(directory)}. Start it "
                f"again with `{format_command('rungwise', 'resume', directory)}`.",
            )
        print_outcome(builder.build_outcome(), console, directory)


def find_run(path: Path) -> Path:
    """Return the directory of a run that is given by its path or by its name in runs/.

    Raises:
        InputError: there is no such run; the nearest is named.
    """
    for directory in (path, "runs" / path):
        if any((directory / name).is_file() for name in (JOB, LOG)):
            return directory
    parent = path.parent if path.parent.name else Path("runs")
    names = {file.parent.name for name in (JOB, LOG) for file in parent.glob(f"*/{name}")}
    raise unknown_name_error("run", path.name, names, f"in {parent}/")


def follow_log(directory: Path) -> Iterator[bytes | None]:
    """Yield the lines of a run's log as they are written, until its job ends.

    Yields None whenever all lines so far have been yielded. Of a driver that died, the end that the
    log lacks is yielded in its place; nothing where it never began.
    """
    from cluster.queue.orders import get_run_state
    from rungwise.logs.formats.tail import Tail
    from rungwise.run_log.driver_lock import describe_lost_driver, make_lost_end
    from rungwise.run_log.event_log import decode_row_or_none, encode_row
    from rungwise.run_log.events import JobEndRow, JobRow
    from rungwise.run_log.log_file import open_log_and_state

    tail, ends, last = Tail(directory / LOG, open_log_and_state), list[JobRow | JobEndRow](), b""
    while True:
        # Before the log is read: a driver that ends writes first and leaves then.
        is_over = get_run_state(directory)[0] in ("failed", "stopped")
        is_lost = is_over and bool(describe_lost_driver(directory))
        data = tail.read()
        complete = data[: data.rfind(b"\n") + 1]
        tail.keep(data[len(complete) :])
        for line in complete.splitlines(keepends=True):
            row = decode_row_or_none(line) if b'"kind": "job' in line[:16] else None
            if isinstance(row, JobRow | JobEndRow):
                ends = [row]
            last = line
            yield line
        if tail.behind:
            continue
        if ends and isinstance(ends[0], JobEndRow):
            return
        if is_lost:
            rows = (*ends, decode_row_or_none(last))
            for row in make_lost_end(directory, filter(None, rows)):
                yield encode_row(row).encode()
            return
        yield None
        time.sleep(INTERVAL_S)


def _print_so_far(outcome: Outcome, console: Terminal) -> None:
    """Print a table of the trials that matter now, and the summary of the rest."""
    from rich.text import Text

    from cluster.terminal.event_lines import format_job
    from cluster.terminal.trial_table import choose_visible_trials, make_trial_table
    from cluster.terminal.widgets import summarise_outcome
    from rungwise.formatting import count

    shown = choose_visible_trials(outcome, MAX_TRIALS)
    console.print(Text(format_job(outcome.job)), soft_wrap=True)
    if shown:
        console.print(make_trial_table(outcome, shown, console.width, live=True))
    if hidden := len(outcome.trials) - len(shown):
        console.print(Text(f" and {count(hidden, 'other trial')}"))
    console.print(Text(summarise_outcome(outcome, None)), soft_wrap=True)
