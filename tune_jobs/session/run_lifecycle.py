"""Start, resume and finish a run.

A run is its directory. ``events.jsonl`` says which trials ended and where the others' checkpoints
are, so a resume starts a new Tune session with only what remains. Nothing depends on Tune's own
experiment snapshots, which lag behind the checkpoints and lose the scheduler's state.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.formatting import first_sentence, format_command
from rungwise.optional_imports import is_installed
from rungwise.run_log.evaluation_status import EvaluationStatus, Listener
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import EndRow, JobEndRow, JobRow, Row, TrialRow
from rungwise.run_log.log_file import get_log_size
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import TrialOutcome
from rungwise.validation import InputError
from rungwise.write_errors import warn_of_unwritable
from tune_jobs.disk_space import DiskFullError, check_disk_space, report_full_disk
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.trials import TrialPlan, get_hang_report_dir
from tune_jobs.report.importance import import_forest_early
from tune_jobs.report.report import try_to_write_report
from tune_jobs.session.notifier import Notifier
from tune_jobs.session.object_storage import mirror_run
from tune_jobs.session.prepare import LOG, make_job_row, open_run
from tune_jobs.session.program_session import ProgramSession
from tune_jobs.session.remaining_work import find_remaining_work

if TYPE_CHECKING:
    from tune_jobs.session.tune_session import TuneSession

ERROR = "driver_error.txt"
"""File of a run directory with the traceback of the driver that failed last."""


class DriverError(Exception):
    """The driver of a run failed; the message is for people, the traceback in its directory."""


def drive(directory: Path, listener: Listener) -> Outcome:
    """Start a prepared run, or continue it: no finished trial runs again.

    Needs an initialised Ray, if the job does, and the run's
    :func:`rungwise.run_log.driver_lock.hold_driver_lock`.

    Args:
        directory: the run directory.
        listener: called with every event row, and with the progress of evaluations.

    Raises:
        InputError: the directory is not that of a run, or the disk is nearly full.
        DiskFullError: the disk is full.
        DriverError: anything else that is not the failure of a single trial.
    """
    with Notifier(directory) as notifier:

        def publish(row: Row | EvaluationStatus) -> None:
            listener(row)
            notifier.observe(row)

        outcome = _drive(directory, publish)
        notifier.send_end(outcome)
    return outcome


def _drive(directory: Path, listener: Listener) -> Outcome:
    job, rows = open_run(directory)
    check_disk_space(directory)
    job_row = make_job_row(job, directory, rows)
    remaining = find_remaining_work(directory, [*rows, job_row])
    new_plans = _plan_new_trials(job, directory, rows)
    log, started = EventLog(directory / LOG), time.monotonic()
    first_rows = [
        job_row,
        *remaining.missing_rows,
        *(TrialRow(trial=plan.trial, config=plan.config) for plan in new_plans),
    ]
    try:
        with report_full_disk(directory):
            for row in first_rows:
                log.append(row)
                listener(row)
            plans = [*remaining.plans, *new_plans]
            return _run_session(job, directory, plans, [*rows, *first_rows], listener)
    except KeyboardInterrupt:  # before Tune has started, or again while the end is written
        end_interrupted(directory)
        raise
    except Exception as error:
        # These two are written for people; of any other error only the first sentence is shown.
        readable = isinstance(error, DiskFullError | InputError)
        cause = str(error) if readable else f"{type(error).__name__}: {first_sentence(error)}"
        with suppress(OSError):
            seconds = time.monotonic() - started
            log.append(JobEndRow(reason="error", seconds=seconds, sentence=cause))
            (directory / ERROR).write_text(traceback.format_exc())
        if readable:
            raise
        resume = format_command("rungwise", "resume", directory)
        raise DriverError(
            f"The run failed: {cause}. The traceback is in {directory / ERROR}; `{resume}` "
            "continues from the last checkpoints."
        ) from error


def _plan_new_trials(job: Job, directory: Path, rows: Sequence[Row]) -> list[TrialPlan]:
    """Plan the trials that the log does not have: all of a new run.

    In a resumed run these are the trials whose rows a kill cut off while they were written.
    """
    logged = {row.trial for row in rows if isinstance(row, TrialRow)}
    # Settings that a sampler proposes are not known yet, so there are fewer of them than ids.
    return [
        TrialPlan(trial, config, str(get_hang_report_dir(directory, trial)))
        for trial, config in zip(job.name_trials(logged), job.sample_configs(), strict=False)
        if trial not in logged
    ]


def _run_session(
    job: Job,
    directory: Path,
    plans: Sequence[TrialPlan],
    earlier: Sequence[Row],
    listener: Listener,
) -> Outcome:
    """Train what remains, name the winner, write the end, the ledger and the report."""
    started = time.monotonic()
    session = _make_session(job, directory, earlier, listener)
    recorder = session.recorder
    with mirror_run(directory, job.storage):
        try:
            import_forest_early(job.trials)
            session.run(plans)
            recorder.write_scheduling()
            # Tune handles Ctrl-C itself and returns: what is unfinished shows that it happened.
            interrupted = bool(_list_running(directory)) or session.has_settings_to_propose
            if not interrupted:
                _evaluate_winner(job, directory, recorder.write, listener)
        except KeyboardInterrupt:  # at any other time than while Tune waits for results
            interrupted = True
            recorder.write_scheduling()
        for row in _make_interrupted_ends(directory):
            recorder.write(row)
        unfinished = "stopped" if session.stopper.run_stop_requested else "interrupted"
        reason = unfinished if interrupted else "done"
        recorder.write(JobEndRow(reason=reason, seconds=time.monotonic() - started))
        log_bytes = get_log_size(directory / LOG)  # before the rows: others may append
        rows = read_event_log(directory / LOG)
        if is_installed("pyarrow"):  # `rungwise ledger` needs none of these files
            _write_tables(rows, directory, log_bytes)
        try_to_write_report(rows, directory)
    return Outcome.from_rows(rows)


def _make_session(
    job: Job, directory: Path, earlier: Sequence[Row], listener: Listener
) -> TuneSession | ProgramSession:
    if not job.needs_ray:
        return ProgramSession(job, directory, earlier, listener)
    from tune_jobs.session.tune_session import TuneSession  # late: `watch` needs no Ray

    return TuneSession(job, directory, earlier, listener)


def _evaluate_winner(
    job: Job, directory: Path, write: Callable[[Row], None], listener: Listener
) -> None:
    """Name and record the winner, where the job asks for that; a program has no policy of ours."""
    if not (job.most_evaluated or job.videos):
        return
    from tune_jobs.session.winner import name_winner, record_winner  # late: they need torch

    if job.most_evaluated:
        name_winner(job, directory, write, listener)
    if job.videos:
        record_winner(job, directory, write, listener)


def _write_tables(rows: Sequence[Row], directory: Path, log_bytes: int) -> None:
    """Write the ledger, and the tables of the environment's charts."""
    from rungwise.run_log.chart_tables import write_chart_tables
    from rungwise.run_log.ledger import write_ledger

    again = f"`{format_command('rungwise', 'ledger', directory)}` reads {LOG} in its place"
    with warn_of_unwritable(ledger := directory / "ledger.parquet", again):
        write_ledger(rows, ledger, log_bytes)
    with warn_of_unwritable(directory, f"the tables of its charts are left out, but {LOG} has all"):
        write_chart_tables(rows, directory)


def _list_running(directory: Path) -> list[TrialOutcome]:
    """Return the trials that have no end."""
    outcome = Outcome.from_rows(read_event_log(directory / LOG))
    return [trial for trial in outcome.trials if trial.end_reason is None]


def _make_interrupted_ends(directory: Path) -> list[EndRow]:
    resume = format_command("rungwise", "resume", directory)
    sentence = f"interrupted; `{resume}` continues it"
    return [
        EndRow(trial=trial.id, iteration=trial.iterations, reason="interrupted", sentence=sentence)
        for trial in _list_running(directory)
    ]


def end_interrupted(directory: Path) -> None:
    """Write the end of an interrupted run, where its driver cannot do so in time."""
    log = EventLog(directory / LOG)
    rows = read_event_log(log.path) if log.path.exists() else []
    starts = [i for i, row in enumerate(rows) if isinstance(row, JobRow)]
    if not starts or any(isinstance(row, JobEndRow) for row in rows[starts[-1] :]):
        return
    seconds = time.time() - rows[starts[-1]].time
    job_end = JobEndRow(reason="interrupted", seconds=seconds)
    for row in (*_make_interrupted_ends(directory), job_end):
        log.append(row)
    with Notifier(directory) as notifier:
        notifier.send_end(Outcome.from_rows(read_event_log(log.path)))
