"""The command ``watch``: follow a training program, and end it when it is doomed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import tyro
from rich.console import Console

from cluster.commands.command import Command
from cluster.commands.live_run import print_and_check_outcome, run_with_progress
from cluster.commands.train_answer import make_train_answer
from cluster.errors import Answer, CommandFailed, PlainConsole, ProgramEnded, RunInterrupted
from rungwise.run_directory import find_free_directory
from rungwise.validation import InputError

if TYPE_CHECKING:
    from rungwise.run_log.outcome import Outcome
    from tune_jobs.jobs.job import Job


@dataclass(frozen=True, kw_only=True)
class WatchCommand(Command):
    """Follow a training program, end it when it is doomed: `rungwise watch -- python train.py`."""

    path: tyro.conf.Positional[Path | None] = None
    """The log, or folder of the log, of a program that runs already, in place of `-- COMMAND`."""
    pid: int | None = None
    """The process that logs to `path`; without it the program is watched and never ended."""
    log: str = ""
    """Which files the program logs to, as a pattern below its working directory, such as
    `logs/*/progress.csv`; by default every new file there is looked at."""
    metric: str = ""
    """Its score: a name of its log or of the catalogue. By default its mean return."""
    mode: Literal["", "min", "max"] = ""
    """Whether a small or a large score is good; returns are large."""
    progress: str = ""
    """The name in its log of what `budget` counts; by default environment steps, or rows."""
    budget: float = 0.0
    """How far it will go; rules know then how much of it has passed."""
    rename: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A metric name of the log and the matching one of Rungwise: `profit=return_mean`. Can be
    given several times."""
    health: Literal["note", "warn", "stop"] = "stop"
    """The highest severity of a finding; below `stop` no program is ended."""
    max_wrong: float = 1.0
    """Only rules end it whose rate of wrongly ended published runs is at most this (a fraction,
    with 95 % confidence); the others warn."""
    observe: bool = False
    """End nothing: say what would have been ended, and afterwards whether that was right."""
    patience: int = 0
    """End it after this many iterations without improvement; 0 never does."""
    patience_s: float = 1800.0
    """Seconds after which a warning says that there is no log to judge."""
    notify: str = ""
    """URL that gets a message when it ends, is ended or fails; by default RUNGWISE_NOTIFY."""
    out: Path | None = None
    """Run directory; by default runs/<program>-<date>-<number>."""
    resume: Path | None = None
    """A run directory: find its program again, or start it again where it has ended."""
    command: tyro.conf.Suppress[tuple[str, ...]] = ()
    """The program and its arguments: the words after `--`."""

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Self:
        """Read the flags, and the program's command after ``--``.

        Raises:
            InputError: there is nothing to watch, or more than one thing.
            SystemExit: help was requested, or a flag is wrong; tyro has printed which.
        """
        words, command = list(argv), list[str]()
        if "--" in words:
            end = words.index("--")
            words, command = words[:end], words[end + 1 :]
            if not command:
                raise InputError("There is no command after --: write -- python train.py, say.")
        watch = replace(super().parse(words), command=tuple(command))
        given = [watch.path is not None, bool(command), watch.resume is not None]
        if sum(given) != 1:
            raise InputError(
                "Give `rungwise watch` one of -- COMMAND, the path of a log, or --resume RUN; "
                f"{sum(given)} are given."
            )
        if watch.pid is not None and watch.path is None:
            raise InputError(f"--pid {watch.pid} needs the path of the log of that process.")
        if watch.log and watch.path is not None:
            raise InputError(
                f"--log {watch.log} is a second log next to {watch.path}: name one of them."
            )
        if watch.resume is not None:
            for flag in fields(cls):
                changed = getattr(watch, flag.name) != flag.default
                if changed and flag.name not in ("json", "resume"):
                    raise InputError(
                        f"--resume {watch.resume} continues as it was, and --"
                        f"{flag.name.replace('_', '-')} would change nothing: leave it out."
                    )
        return watch

    def __call__(self, console: Console) -> Answer:
        """Follow the program to its end.

        Raises:
            ProgramEnded: it was doomed.
            CommandFailed: it failed by itself.
            RunInterrupted: Ctrl-C ended it.
        """
        from tune_jobs.programs.process import find_program
        from tune_jobs.programs.trial_program import get_program_folder
        from tune_jobs.session.prepare import open_run

        directory = self.resume or self._prepare()
        job, rows = open_run(directory)
        _announce(job, directory)
        outcome = run_with_progress(directory, "local", None, rows)
        try:
            return print_and_check_outcome(outcome, directory, console, make_train_answer)
        except (CommandFailed, RunInterrupted) as error:
            if _has_only_no_score(outcome):
                return error.answer
            process = find_program(get_program_folder(directory, job.name_trials()[0]))
            _check_end(outcome, error.answer, was_ended=process is not None)
            raise

    def _prepare(self) -> Path:
        """Prepare the run directory of a new run, and return it."""
        from tune_jobs.jobs.job import make_job
        from tune_jobs.programs.process import find_process, remember_program
        from tune_jobs.programs.trial_program import get_program_folder
        from tune_jobs.session.prepare import prepare_job

        process = None if self.pid is None else find_process(self.pid)
        job = make_job(self._describe_job(), "the command line")
        directory = self.out or find_free_directory(job.env)
        prepare_job(job, directory)
        if process is not None:
            folder = get_program_folder(directory, job.name_trials()[0])
            folder.mkdir(parents=True)
            remember_program(process, folder)
        return directory

    def _describe_job(self) -> dict[str, Any]:
        """Return the fields of the job."""
        from cluster.commands.diagnose import parse_renames
        from rungwise.health import RULES
        from rungwise.health.finding import SEVERITIES
        from rungwise.logs.discovery import find_readers
        from rungwise.run_log.events import PROGRAM
        from tune_jobs.jobs.program_settings import name_program, protect_braces

        command = protect_braces(shlex.join(self.command))
        log = self.log
        if self.path is not None:
            if not self.path.exists():
                raise InputError(f"{self.path} does not exist: name the log, or its folder.")
            find_readers(self.path)  # refuses a file that is no log
            log = str(self.path.absolute())
        limit = SEVERITIES.index(self.health)
        settings = {
            **{"command": command, "log": log, "progress": self.progress, "budget": self.budget},
            **{"rename": parse_renames(self.rename), "patience_s": self.patience_s},
        }
        higher = [s for s, rule in RULES.items() if SEVERITIES.index(rule.highest) > limit]
        same = ("metric", "mode", "patience", "max_wrong", "observe", "notify")
        return {
            "env": name_program(command) if command else Path(log).stem,
            **{"algo": PROGRAM, "settings": settings, "scheduler": "none"},
            **{name: getattr(self, name) for name in same},
            "health": dict.fromkeys(higher, self.health),
        }


def _announce(job: Job, directory: Path) -> None:
    """Print on stderr what is followed, and where its output goes."""
    from tune_jobs.programs.trial_program import get_program_folder

    console, program = PlainConsole(stderr=True), job.program
    if not program.command:
        console.print(f"following {program.log}", highlight=False, soft_wrap=True)
        return
    output = get_program_folder(directory, job.name_trials()[0])
    text = f"{program.command}\n  output: {output}/stdout.log, {output}/stderr.log"
    console.print(text, highlight=False, soft_wrap=True)


def _has_only_no_score(outcome: Outcome) -> bool:
    """Return whether the program ended by itself and was judged, though not by a score."""
    trial = outcome.trials[0]
    return trial.end_reason == "budget" and trial.iterations > 0 and trial.score is None


def _check_end(outcome: Outcome, answer: Answer, *, was_ended: bool) -> None:
    """Raise the end of a doomed program.

    Raises:
        ProgramEnded: a health rule ended it, or would have, had its process been known.
    """
    trial = outcome.trials[0]
    if trial.end_reason != "health":
        return
    what = "was ended" if was_ended else "should be ended (no --pid is given)"
    raise ProgramEnded(answer, f"The program {what}: {trial.sentence}")
