"""The session of a run whose only trial is a program: start or find it, follow it, end it.

It needs no Ray: the program runs on this machine, and outlives a driver that is killed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.formatting import format_command
from rungwise.run_log.events import EndRow, JobRow, LogRow, ResultRow, Row
from rungwise.run_log.stop_requests import is_stop_requested
from rungwise.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.trials import TrialPlan
from tune_jobs.programs.followed_program import POLL_S, FollowedProgram, Reached
from tune_jobs.programs.log_follower import LogFollower
from tune_jobs.programs.process import ProgramProcess, find_program
from tune_jobs.programs.trial_program import can_continue, get_program_folder, open_trial_program
from tune_jobs.session.recorder import EventRecorder
from tune_jobs.session.stopper import TrialStopper
from tune_jobs.stopping.stop_rules import StopVerdict
from tune_jobs.stopping.sweep_health import SweepHealth

if TYPE_CHECKING:
    from tune_jobs.trackers.prometheus_gauges import RunGauges

SHARE = 0.005
"""Share of the time that reading and judging its log may take: half a per cent of a core."""
LONGEST_S = 60.0
"""Longest time between two looks at its log, whatever they take."""


class ProgramSession:
    """The recorder and stopper of one session of a run whose only trial is a program.

    Args:
        job: the job, with its metric and mode filled in.
        directory: the run directory.
        earlier: the event rows so far.
        listener: called with every row that is written.
    """

    has_settings_to_propose = False

    def __init__(
        self, job: Job, directory: Path, earlier: Sequence[Row], listener: Callable[[Row], None]
    ) -> None:
        self.job, self.directory, self.earlier = job, directory, earlier
        sweep = SweepHealth(job, earlier)
        self.recorder = EventRecorder(directory, sweep, listener, _make_gauges(directory))
        self.stopper = TrialStopper(job, directory, sweep, self.recorder)
        self._has_log = False
        self._reported: set[str] = set()

    def run(self, plans: Sequence[TrialPlan]) -> None:
        """Follow the program to its end.

        Raises:
            InputError: it cannot be started, or its log is lost, is not one, or has no score.
        """
        for plan in plans:
            program = self._open(plan)
            try:
                self._follow(program)
            except InputError as error:
                hint = self._explain_how_to_continue(program)
                raise InputError(f"{error} {hint}") from error
            except KeyboardInterrupt:
                program.end()
                raise

    def _open(self, plan: TrialPlan) -> FollowedProgram:
        """Start the program, or find it where an earlier session left it running."""
        settings, folder = self.job.program, get_program_folder(self.directory, plan.trial)
        results = [row for row in self.earlier if isinstance(row, ResultRow)]
        process, iteration = find_program(folder), max((r.iteration for r in results), default=0)
        reached = Reached(iteration)
        if not settings.command:  # it was not started by Rungwise
            log = LogFollower([Path(settings.log)], rename=settings.rename)
            return FollowedProgram(self.job, plan.trial, process, log, reached)
        if process is None or not self._was_left(process):
            process, continues = None, can_continue(self.job, folder, iteration)
            reached = Reached(iteration, results[-1].seconds) if continues else Reached()
        return open_trial_program(self.job, plan, self.directory, process, reached)

    def _was_left(self, process: ProgramProcess) -> bool:
        """Return whether the session before this one left the program running."""
        if process.is_running:
            return True
        if process.exit_status is None or process.is_discarded:
            return False  # the machine stopped, or the session was killed while it ended it
        starts = [i for i, row in enumerate(self.earlier) if isinstance(row, JobRow)]
        last_session = self.earlier[starts[-2] :] if len(starts) > 1 else []
        return not any(isinstance(row, EndRow) for row in last_session)

    def _follow(self, program: FollowedProgram) -> None:
        start = time.process_time()
        for iterations in program.follow():
            self._report_log(program)
            self._report_problems(program)
            for iteration in iterations:
                # Only the newest iteration since the last look is judged, with all before it.
                is_newest = iteration is iterations[-1]
                result = program.make_result(iteration, is_last=is_newest)
                if self.stopper("", result | {"is_judged": is_newest}):
                    if not program.is_over:
                        program.end()
                    return
            if program.is_over:
                continue
            if not program.follower.behind:
                took = time.process_time() - start
                self._wait(program, program.follower.pause_after(took, SHARE))
            if self.stopper.stop_all():
                program.end()
                return
            start = time.process_time()
        verdict = StopVerdict(*program.explain_end())
        self.recorder.write_end(program.trial, program.reached.iteration, verdict)

    def _report_log(self, program: FollowedProgram) -> None:
        """Write once which log is followed."""
        log = program.follower.chosen
        if log is not None and not self._has_log:
            trial, others = program.trial, [str(path) for path in program.follower.others]
            row = LogRow(trial=trial, path=str(log.files[0]), format=log.name, others=others)
            self.recorder.write(row)
            self._has_log = True

    def _wait(self, program: FollowedProgram, seconds: float) -> None:
        """Wait until the log may be read again, the program has ended, or is to be stopped."""
        until = time.monotonic() + min(max(POLL_S, seconds), LONGEST_S)
        while time.monotonic() < until and not program.has_ended:
            time.sleep(POLL_S)
            if is_stop_requested(self.directory):
                return

    def _report_problems(self, program: FollowedProgram) -> None:
        """Write once each what is wrong with the log that does not end the program."""
        log = program.follower.chosen
        doctor = log and format_command("rungwise", "doctor", log.files[0])
        judge_all = f"judge all of it by `{doctor}` with it." if log else ""
        problems = {
            "no_log": (program.find_log_problem(), "The program still runs and is not judged."),
            "no_score": (program.missing_score, f"Start it with that option, or {judge_all}"),
        }
        for symptom, (evidence, remedy) in problems.items():
            if not evidence or symptom in self._reported:
                continue
            self._reported.add(symptom)
            iteration = program.reached.iteration
            self.recorder.write_warning(program.trial, iteration, symptom, evidence, remedy)

    def _explain_how_to_continue(self, program: FollowedProgram) -> str:
        resume = format_command("rungwise", "resume", self.directory)
        if program.has_ended or program.process is None:
            return f"Mend it and call `{resume}`."
        return (
            f"The program still runs, as process {program.process.pid}: "
            f"`{resume}` follows it again."
        )


def _make_gauges(directory: Path) -> RunGauges | None:
    """Return gauges where there is a Ray that exports them: the driver of the queue starts one."""
    if "ray" not in sys.modules:
        return None
    from tune_jobs.trackers.prometheus_gauges import RunGauges, name_run

    return RunGauges(name_run(directory), 1)
