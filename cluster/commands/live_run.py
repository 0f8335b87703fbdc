"""One run driven from the terminal: checks before it, progress during it, its outcome after it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cluster.errors import Answer, CommandFailed, PlainConsole, RunInterrupted
from rungwise.formatting import count

if TYPE_CHECKING:
    from rungwise.run_log.events import Row
    from rungwise.run_log.outcome import Outcome
    from tune_jobs.jobs.job import Job


def check_and_describe_machine(job: Job, address: str, cpus: int | None) -> None:
    """Check that a trial fits where the run is to happen; say it where cores will be shared.

    Raises:
        InputError: as :func:`tune_jobs.session.prepare.check_machine`.
    """
    from tune_jobs.ray_session import count_cores
    from tune_jobs.session.prepare import check_machine

    check_machine(job, address, cpus)
    if address == "local" and cpus and cpus > (here := count_cores()):
        PlainConsole(stderr=True).print(
            f"--cpus {cpus} is more than the {count(here, 'core')} of this machine: up to "
            f"{cpus} processes will share them.",
            highlight=False,
        )


def announce_job(job: Job, address: str, cpus: int | None) -> None:
    """Print on stderr what is about to start, because Ray takes seconds to do so."""
    from tune_jobs.jobs.job_yaml import format_changes, list_changes
    from tune_jobs.jobs.workload import describe_rollouts, describe_stage_1
    from tune_jobs.ray_session import offered_cpus

    settings = f"{job.trials} settings under {job.scheduler.upper()}" if job.trials > 1 else "1 run"
    local = address == "local"
    where = f"on {count(offered_cpus(cpus), 'CPU')}" if local else f"on the Ray at {address}"
    console = PlainConsole(stderr=True)
    steps = f" ({job.steps:,} steps)" if job.steps else ""
    algo = job.algo if "/" in job.algo else job.algo.upper()  # a name of RLlib's is as RLlib has it
    console.print(
        f"{job.env.split(':')[-1]}, {algo}, {settings}, at most {job.iterations} "
        f"iterations{steps} each, {where}",
        highlight=False,
    )
    for words in filter(None, (describe_rollouts(job), describe_stage_1(job))):
        console.print(words, highlight=False, soft_wrap=not console.is_terminal)
    for line in format_changes(list_changes(job)):
        line = Padding(line, (0, 0, 0, 2)) if console.is_terminal else f"  {line}"
        console.print(line, highlight=False, soft_wrap=not console.is_terminal)


def warn_of_late_scores(job: Job) -> None:
    """Warn on stderr if trials will have no score at their first rung."""
    from tune_jobs.evaluation.first_score import estimate_pace, explain_late_score

    pace = estimate_pace(job)
    if pace and (warning := explain_late_score(job, pace)):
        console = PlainConsole(stderr=True)
        text = Text(f"Warning: {warning}", style="yellow")
        console.print(text, soft_wrap=not console.is_terminal)


def run_with_progress(
    directory: Path, address: str, cpus: int | None, earlier_rows: Sequence[Row] = ()
) -> Outcome:
    """Drive a prepared run with live progress on stderr.

    Args:
        directory: the run directory.
        address: ``local`` or the address of the Ray to join.
        cpus: CPUs of this machine to use; None uses all of them.
        earlier_rows: the rows of a run that is resumed; they are counted and not printed again.

    Raises:
        CommandFailed: the disk is full, or the driver failed.
        RunInterrupted: Ctrl-C or SIGTERM stopped the run.
    """
    from cluster.terminal.progress import ProgressDisplay
    from rungwise.interruption import run_last_words
    from rungwise.run_log.driver_lock import hold_driver_lock
    from rungwise.run_log.evaluation_status import EvaluationStatus
    from rungwise.run_log.events import JobRow
    from tune_jobs.disk_space import DiskFullError
    from tune_jobs.session.prepare import open_run
    from tune_jobs.session.run_lifecycle import DriverError, drive, end_interrupted

    job, _ = open_run(directory)
    displays, shown = list[ProgressDisplay](), ExitStack()

    def listener(row: Row | EvaluationStatus) -> None:
        # The display needs the metric and the number of trials, which the job row names.
        if isinstance(row, JobRow) and not displays:
            displays.append(shown.enter_context(ProgressDisplay(row, earlier_rows)))
        else:
            displays[0].update(row)

    def print_last_words() -> None:
        end_interrupted(directory)
        sys.stderr.write(f"rungwise: {RunInterrupted({}, directory)}\n")

    try:
        with (
            shown,
            # Left in reverse: the lock is released last, after Ray has shut down.
            hold_driver_lock(directory),
            run_last_words(print_last_words),
            _shown_ray_session(address, cpus, directory) if job.needs_ray else nullcontext(),
        ):
            gc.freeze()  # what was imported stays, and is not searched for garbage again
            return drive(directory, listener)
    except (DiskFullError, DriverError) as error:
        raise CommandFailed({"run": str(directory)}, str(error)) from error
    except KeyboardInterrupt:  # while Ray starts, or a second time while the run is stopped
        raise RunInterrupted({"run": str(directory)}, directory) from None


@contextmanager
def _shown_ray_session(address: str, cpus: int | None, run: Path) -> Generator[None]:
    """Start or join Ray, and show on stderr that this is being done."""
    from cluster.terminal.startup import show_activity
    from tune_jobs.joined_nodes import find_user_module
    from tune_jobs.ray_session import ray_session

    activity = "Starting Ray"
    if address != "local":
        module = find_user_module(run)
        sent = f", sending {module} to its nodes" if module else ""
        activity = f"Joining the Ray at {address}{sent}"
    with ExitStack() as stack:
        with show_activity(activity):
            stack.enter_context(ray_session(address, cpus, run))
        yield


def print_and_check_outcome(
    outcome: Outcome,
    directory: Path,
    console: Console,
    make_answer: Callable[[Outcome, Path], Answer],
) -> Answer:
    """Print the outcome of a run and return its answer.

    Raises:
        RunInterrupted: the run was stopped.
        CommandFailed: no trial ended well, or none has a score.
    """
    from cluster.terminal.outcome_text import print_outcome

    print_outcome(outcome, console, directory)
    answer = make_answer(outcome, directory)
    if outcome.end and outcome.end.reason in ("interrupted", "stopped"):
        raise RunInterrupted(answer, directory)
    broken = [t for t in outcome.trials if t.end_reason in ("error", "health")]
    if len(broken) == len(outcome.trials) or outcome.best is None:
        why = broken[0].sentence if broken else _explain_unscored(outcome, directory)
        # The policy learnt before the end can be evaluated, and continued.
        has_result = outcome.best is not None and outcome.best.checkpoint
        lead = "The run ended early" if has_result else "The run produced no result"
        raise CommandFailed(answer, f"{lead}: {why}")
    return answer


def _explain_unscored(outcome: Outcome, directory: Path) -> str:
    """Say why no trial of a run has a score."""
    from tune_jobs.evaluation.first_score import estimate_pace, explain_missing_score
    from tune_jobs.session.prepare import open_run

    if any(trial.score is not None for trial in outcome.trials):
        return "no trial has a finite score"
    job, _ = open_run(directory)
    episodes, iterations = max(
        (
            (sum(row.metrics.get("episodes", 0) for row in trial.results), trial.iterations)
            for trial in outcome.trials
        ),
        default=(0, 0),
    )
    return explain_missing_score(job, estimate_pace(job), episodes, iterations)
