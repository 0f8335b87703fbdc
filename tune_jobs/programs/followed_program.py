"""A program and its growing log, as the results of a trial."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

from rungwise.logs.formats.tail import WHOLE_LOGS
from rungwise.logs.log_rows import RETURNS, Iteration, LogRows
from rungwise.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.programs.log_follower import LogFollower, explain_missing_log, explain_missing_score
from tune_jobs.programs.process import STDERR, ProgramProcess, read_last_lines

CHECKED_ROWS = 20
"""Rows of a log after which it must have had the score: the first rows often lack it."""
POLL_S = 0.5
"""Time between two looks at a program and its log, at least."""
LOST_S = 60.0
"""Seconds for which a log may be missing or unreadable before it counts as lost."""
OVERRUN = 1.1
"""Share of its budget at which a trial that does not end by itself is ended."""


@dataclass(frozen=True)
class Reached:
    """How far the program of a trial has come, over all its starts."""

    iteration: int = 0
    """The last one reported."""
    trained_s: float = 0.0
    before_s: float = 0.0
    started: float = 0.0
    """Last start of the program, and the time trained before it. Only earlier versions wrote them:
    now that time is in a file of the program's folder."""


class FollowedProgram:
    """The program of a trial, and what its log says as iterations.

    Args:
        job: whose settings are those of a program.
        trial: its trial.
        process: the program; None for one that only its log is known of.
        follower: finds and reads its log.
        reached: what is reported already.
        before_s: training time before its start.
    """

    def __init__(
        self,
        job: Job,
        trial: str,
        process: ProgramProcess | None,
        follower: LogFollower,
        reached: Reached,
        before_s: float = 0.0,
    ) -> None:
        self.job, self.settings, self.trial = job, job.program, trial
        self.process, self.follower, self.reached = process, follower, reached
        self.rows: LogRows | None = None
        """Its log as iterations; None while no log is found."""
        self.is_over = False
        """Whether it has ended and its log has been read to the end."""
        self.missing_score = ""
        """A sentence on a log in which no return is known; empty where one is, or may still be."""
        # Measured once: the clock may be set while the program runs.
        ended = process.ended if process else None
        started = process.started if process else time.time()
        self._trained_before_s = max((ended or time.time()) - (started - before_s), 0.0)
        self._had_ended, self._attached = ended is not None, time.monotonic()
        self._lost_since: float | None = None
        self._was_ended = False

    @property
    def trained_s(self) -> float:
        """Seconds since the program started, or until it ended where it had ended before."""
        since_s = 0.0 if self._had_ended else time.monotonic() - self._attached
        return self._trained_before_s + since_s

    @property
    def has_ended(self) -> bool:
        """Whether it is known to run no more."""
        return self.process is not None and not self.process.is_running

    def follow(self) -> Generator[list[Iteration]]:
        """Yield the iterations that each look at its log brings, until the program is over.

        The caller makes results of them and waits between two looks.

        Raises:
            InputError: the log is lost, is not one, or does not have the score.
        """
        while not self.is_over:
            yield [i for i in self._poll() if i.number > self.reached.iteration]

    def _poll(self) -> list[Iteration]:
        """Return the iterations that its log has completed since the last call."""
        # Asked first: what a program writes before it ends is then read below.
        ended = self.has_ended
        is_whole = ended and self.process is not None and self.process.has_finished
        (WHOLE_LOGS.update if is_whole else WHOLE_LOGS.difference_update)(self.follower.roots)
        records = self._read(final=ended)
        if self.rows is None and self.follower.chosen is not None:
            log, s = self.follower.chosen.files[0], self.settings
            self.rows = LogRows(
                log, self.job.metric, s.rename, s.progress, s.budget, self.job.iterations
            )
        iterations = self.rows.add(records, final=ended) if self.rows else []
        if self.rows and (ended or self.rows.rows_seen >= CHECKED_ROWS):
            self._check_names(self.rows)
        self.is_over = ended
        return iterations

    def _check_names(self, rows: LogRows) -> None:
        """Refuse a log without the progress, or without the score that trials are compared by."""
        if self.job.trials > 1 or self.job.metric not in RETURNS:
            rows.check_names()
            return
        # A single program whose return has an unknown name is judged by its other metrics.
        rows.check_progress()
        if rows.lacks_score:
            self.missing_score = explain_missing_score(rows)

    @property
    def is_overdue(self) -> bool:
        """Whether it has passed its budget and should have ended."""
        return self.rows is not None and self.rows.share_reached > OVERRUN

    def find_log_problem(self) -> str:
        """Return a sentence if no log has appeared for the job's patience; else an empty text."""
        waited = time.monotonic() - self._attached
        late = self.is_over or waited >= self.settings.patience_s
        if self.rows is not None or not late or self.describe_failure():
            return ""
        return explain_missing_log(self.follower, waited)

    def describe_failure(self) -> str:
        """Return how a program failed, with the last lines of its stderr; empty if it did not."""
        if not self.is_over or self._was_ended:
            return ""
        if self.process is None or self.process.folder is None:
            return ""  # its status is not known
        status = self.process.exit_status
        if status == 0:
            return ""
        how = "was killed" if status is None else f"failed with status {status}"
        lines = read_last_lines(self.process.folder / STDERR)
        return f"the program {how}" + (f": {lines}" if lines else "")

    def explain_end(self) -> tuple[str, str]:
        """Return the reason and the sentence of a program that no rule has ended."""
        if failure := self.describe_failure():
            return "error", failure
        if self._was_ended:
            return "budget", "it had not ended by itself after its whole budget"
        return "budget", "the program ended by itself"

    def end(self) -> None:
        """End the program, if there is one to end."""
        if self.process is not None:
            self._was_ended = True
            self.process.end()

    def discard(self) -> None:
        """End the program, and have it start again where the trial is run again."""
        self.end()
        if self.process is not None:
            self.process.discard()

    def make_result(self, iteration: Iteration, *, is_last: bool = False) -> dict[str, Any]:
        """Return an iteration as the result of a trial; the last one says how the program ended."""
        number, trained_s = iteration.number, self.trained_s
        self.reached = Reached(number, trained_s)
        other = self.rows.other if self.rows else None
        ended = {"ended": self.explain_end()} if is_last and self.is_over else {}
        return {
            **ended,
            "trial": self.trial,
            "library": json.dumps(asdict(other) if other else {}),
            "iteration": number,
            "score": iteration.score,
            "metrics": json.dumps(iteration.metrics),
            "trained_s": trained_s,
            "fault": "",
            "took": "",
            "left_out": self.follower.chosen.left_out if self.follower.chosen else "",
        }

    def _read(self, *, final: bool) -> list[Any]:
        """Read the log, unless it is missing for a moment: a network file system is slow."""
        log, error = self.follower.chosen, None
        try:
            records = self.follower.poll(final=final)
            is_missing = log is not None and not any(file.exists() for file in log.files)
        except OSError as failure:
            records, is_missing, error = [], True, failure
        if not is_missing:
            self._lost_since = None
            return records
        now = time.monotonic()
        self._lost_since = now if self._lost_since is None else self._lost_since
        if now - self._lost_since > LOST_S:
            where = log.files[0] if log else self.follower.roots[0]
            why = f"cannot be read any more ({error.strerror})" if error else "has disappeared"
            raise InputError(f"The log {where} {why}.")
        return records
