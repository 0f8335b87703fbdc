"""A program of the user's as a trial under Ray Tune."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyarrow.fs import FileSystem
from ray import tune
from ray.air.constants import TRAINING_ITERATION

from algos.checkpoint import write_manifest
from rungwise.logs.log_rows import Iteration
from rungwise.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.trials import TrialPlan
from tune_jobs.programs.followed_program import POLL_S, FollowedProgram, Reached
from tune_jobs.programs.process import find_program, identify_machine
from tune_jobs.programs.trial_program import get_program_folder, open_trial_program
from tune_jobs.session.run_files import FolderCopy

REACHED = "reached.json"
"""File of a checkpoint: last iteration reported, and time until then; programs save elsewhere."""


def make_program_trainable(
    job: Job, directory: Path, files: FileSystem | None = None
) -> type[ProgramTrainable]:
    """Make the class whose actors run the programs of a job.

    Args:
        job: whose trials are programs.
        directory: the run directory.
        files: those of the run, for nodes that do not see its directory; None: all see it.
    """
    attributes = {"job": job, "directory": directory.absolute(), "files": files}
    attributes["driver_host"] = identify_machine()
    return type(ProgramTrainable.__name__, (ProgramTrainable,), attributes)


class ProgramTrainable(tune.Trainable):
    """One program under Ray Tune: a step is an iteration that its log has completed."""

    job: Job
    directory: Path
    files: FileSystem | None
    driver_host: str
    """The only machine on which the driver ends the programs that are left, or finds them again."""

    def setup(self, config: dict[str, Any]) -> None:
        """Become a trial; its program starts with the first step."""
        self.plan = TrialPlan(**config["plan"])
        # It is not started yet: Tune calls `load_checkpoint` next where the trial is to be
        # continued, and a program that begins anew would overwrite what it should continue from.
        self.program: FollowedProgram | None = None
        folder = get_program_folder(self.directory, self.plan.trial)
        self.copy = FolderCopy(self.files, folder, folder)
        self.reached = Reached()
        if path := self.plan.resume_from:
            with tune.Checkpoint(path, filesystem=self.files).as_directory() as checkpoint:
                self.reached = self._read_reached(checkpoint)

    def _open(self) -> FollowedProgram:
        """Start the program, or find it where a process that died has left it.

        It is found running, or finished: what it wrote until its end is then read and it is not
        run again. On another machine than the driver's it ends with its process: nothing else
        would end it, and a resume may run the trial elsewhere.
        """
        self.copy.fetch()
        process = find_program(self.copy.folder)
        is_guarded = identify_machine() != self.driver_host
        if process is not None and (process.is_discarded or is_guarded):
            process.end()  # the actor that the trial had before, or its guard, may be ending it
        if process is not None and not (process.is_running or process.has_finished):
            process = None
        return open_trial_program(
            self.job, self.plan, self.directory, process, self.reached, is_guarded=is_guarded
        )

    def step(self) -> dict[str, Any]:
        """Return the next iteration of the log, and how the program ended with the last one.

        Raises:
            RuntimeError: the program failed.
        """
        if self.program is None:
            self.program = self._open()
            self.iterations = self._follow(self.program)
        try:
            iteration, is_last = next(self.iterations)
        except InputError as error:  # started again it would fail again, so the trial ends
            self.program.discard()
            nothing = Iteration(self.reached.iteration, 0, None, {})
            return self.program.make_result(nothing) | {"fault": str(error), "done": True}
        result = self.program.make_result(iteration, is_last=is_last)
        self.reached, is_end = self.program.reached, "ended" in result
        if is_end and (failure := self.program.describe_failure()):
            raise RuntimeError(failure)
        return result | {TRAINING_ITERATION: iteration.number, "done": is_end}

    def _follow(self, program: FollowedProgram) -> Generator[tuple[Iteration, bool]]:
        """Yield each iteration and whether a look ends with it; an end without one repeats it.

        Raises:
            InputError: there is no log, or it is lost, is not one, or does not have the score.
        """
        newest = Iteration(self.reached.iteration, 0, None, {})
        for iterations in program.follow():
            if problem := program.find_log_problem():
                raise InputError(problem)
            if program.is_overdue:
                program.end()
            elif not iterations and not program.is_over:
                time.sleep(POLL_S)
            for newest in iterations:
                yield newest, newest is iterations[-1]
        yield newest, True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write how far the log was read."""
        self.copy.update()
        Path(checkpoint_dir, REACHED).write_text(json.dumps(asdict(self.reached)))
        write_manifest(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Continue the program from what it wrote before, where the job says how it can."""
        self.cleanup()
        self.program, self.reached = None, self._read_reached(checkpoint)

    def cleanup(self) -> None:
        """End the program."""
        if self.program is not None:
            self.program.end()
            self.copy.update()

    def _read_reached(self, checkpoint: str) -> Reached:
        """Return what need not run again."""
        if not self.job.program.resume:
            return Reached()
        return Reached(**json.loads(Path(checkpoint, REACHED).read_text()))
