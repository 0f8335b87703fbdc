"""Run a job from start to report, and resume it after any crash.

A run is its directory. ``events.jsonl`` says which trials ended and where the others' checkpoints
are, so resuming starts a new Tune session with only what is left; nothing depends on Tune's own
experiment snapshots, which lag behind the checkpoints and lose the scheduler's state.
"""

from __future__ import annotations

import importlib.metadata
import os
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ray import tune
from ray.tune.execution.placement_groups import PlacementGroupFactory

from envs.validation import InputError
from tune_jobs.evaluation.evaluate import make_world, resolve_metric
from tune_jobs.evaluation.evaluation_status import Listener
from tune_jobs.formatting import first_sentence
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_validation import validate_job
from tune_jobs.jobs.job_yaml import dump_job, read_job
from tune_jobs.jobs.resources import (
    DiskFullError,
    check_disk_space,
    claim_run_directory,
    list_bundles,
    report_full_disk,
)
from tune_jobs.recorder import Recorder, Scheduler
from tune_jobs.report.report import write_report
from tune_jobs.run_log.events import (
    EndRow,
    EventLog,
    JobEndRow,
    JobRow,
    Row,
    TrialRow,
    read_event_log,
)
from tune_jobs.run_log.ledger import write_ledger
from tune_jobs.run_log.object_storage import check_mirror, mirror_run
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.resume import TrialPlan, find_remaining_work, get_hang_report_dir
from tune_jobs.run_log.trial_outcome import TrialOutcome
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.optuna_sampler import OptunaSampler, check_optuna
from tune_jobs.schedulers.pbt import RecordedPBT
from tune_jobs.schedulers.successive_halving import make_brackets
from tune_jobs.schedulers.trial_queue import TrialQueue
from tune_jobs.trackers.tracker import check_trackers, make_trackers
from tune_jobs.trial import TrialTrainable
from tune_jobs.winner import name_winner

LOG, JOB = "events.jsonl", "job.yaml"
ERROR = "driver_error.txt"
"""File of a run directory with the traceback of the driver that failed last."""


class DriverError(Exception):
    """The driver of a run failed; the message is a sentence, the traceback is in its directory."""


def prepare_job(job: Job, directory: Path) -> Job:
    """The job ready to start: checked, its metric filled in, its directory claimed. Needs no Ray.

    Raises:
        InputError: something that would fail later: an environment, a metric, a drawn setting, a
            tracker, the directory or the disk.
    """
    if job.searcher == "optuna":
        check_optuna()
    check_reporting()
    for name, good in job.objectives.items():
        resolve_metric(replace(job, metric=name, mode=good))
    metric, mode = resolve_metric(job)
    job = replace(job, metric=metric, mode=mode)
    validate_job(job)
    claim_run_directory(directory)
    try:
        with (directory / JOB).open("x") as file:  # of two that claim it at once, one gets it
            file.write(dump_job(job))
    except FileExistsError:
        claim_run_directory(directory)
    return job


def check_reporting() -> None:
    """Check what the environment asks a run to report to, before it starts or continues.

    Raises:
        InputError: a tracker or the mirror cannot be used as it is configured.
    """
    check_trackers()
    check_mirror()


def drive(directory: Path, listener: Listener) -> Outcome:
    """Begin a prepared run, or continue it: no finished trial runs again.

    Needs an initialised Ray and the run's :func:`tune_jobs.run_log.driver_lock.hold_driver_lock`.

    Raises:
        InputError: not a run directory.
        DiskFull: the disk is full.
        DriverFailed: anything else that is no trial's failure.
    """
    job, rows = open_run(directory)
    check_disk_space(directory)
    left, begun = (
        find_remaining_work(directory, rows),
        {r.trial for r in rows if isinstance(r, TrialRow)},
    )
    # All of them in a new run, and those that a kill in the midst of writing them cut off.
    new = [
        TrialPlan(name, setting, str(get_hang_report_dir(directory, name)))
        for name, setting in zip(job.trial_ids, job.sample_configs(), strict=False)
        if name not in begun
    ]
    log, started = EventLog(directory / LOG), time.monotonic()
    job_row = replace(_job_row(job, directory), resumed=bool(rows))
    drawn = [TrialRow(trial=plan.trial, config=plan.config) for plan in new]
    try:
        with report_full_disk(directory):
            for row in (job_row, *left.missing_rows, *drawn):
                log.append(row)
                listener(row)
                rows.append(row)
            return _run_session(job, directory, [*left.plans, *new], rows, listener)
    except KeyboardInterrupt:  # before Tune has begun, or again while the end is written
        end_interrupted(directory)
        raise
    except Exception as error:
        sentence = isinstance(error, DiskFullError | InputError)
        said = str(error) if sentence else f"{type(error).__name__}: {first_sentence(error)}"
        with suppress(OSError):
            end = JobEndRow(reason="error", seconds=time.monotonic() - started, sentence=said)
            log.append(end)
            (directory / ERROR).write_text(traceback.format_exc())
        if sentence:
            raise
        raise DriverError(
            f"The run failed: {said}. The traceback is in {directory / ERROR}; "
            f"`rungwise resume {directory}` continues from the last checkpoints."
        ) from error


def open_run(directory: Path) -> tuple[Job, list[Row]]:
    """Return the job and the event rows of a run directory; no rows if it has not begun."""
    path = directory / JOB
    if not path.is_file():
        raise InputError(f"{directory} is not a run: it has no job.yaml. Runs are listed in runs/.")
    log = directory / LOG
    return read_job(path), read_event_log(log) if log.exists() else []


def _run_session(
    job: Job, directory: Path, plans: list[TrialPlan], earlier: list[Row], listener: Listener
) -> Outcome:
    """Run what is left, compare the best trial, write ledger and report."""
    started = time.monotonic()
    scheduler = _scheduler(job, directory, earlier)
    proposals = OptunaSampler(job, directory, earlier) if job.searcher == "optuna" else None

    def publish(row: Row) -> None:
        listener(row)
        if proposals:
            proposals.observe_row(row)

    recorder = Recorder(job, directory, scheduler, publish, earlier)

    def record_trial(plan: TrialPlan) -> None:
        recorder.write(TrialRow(trial=plan.trial, config=plan.config))

    with mirror_run(directory):
        try:
            if plans or (proposals and proposals.num_left):
                queue: TrialQueue | list[TrialPlan] = (
                    plans  # Tune allows a population no searcher beside it
                )
                if isinstance(scheduler, RecordedASHA):
                    queue = TrialQueue(plans, scheduler, proposals, record_trial)
                _tune(job, directory, queue, scheduler, recorder)
            recorder.write_decisions()
            interrupted = bool(_list_running(directory) or (proposals and proposals.num_left))
            if job.most_evaluated and not interrupted:
                name_winner(job, directory, recorder.write, listener)
        except KeyboardInterrupt:  # at any other time than while Tune waits for results
            interrupted = True
            recorder.write_decisions()
        _write_end(directory, recorder, interrupted, time.monotonic() - started)
        rows = read_event_log(directory / LOG)
        write_ledger(rows, directory / "ledger.parquet")
        write_report(rows, (directory / JOB).read_text(), directory / "report.html")
    return Outcome.from_rows(rows)


def _list_running(directory: Path) -> list[TrialOutcome]:
    """Return the trials that have no end."""
    outcome = Outcome.from_rows(read_event_log(directory / LOG))
    return [trial for trial in outcome.trials if trial.end_reason is None]


def _write_end(directory: Path, recorder: Recorder, interrupted: bool, seconds: float) -> None:
    """End the trials that still run as interrupted, and the session."""
    for row in _make_interrupted_ends(directory):
        recorder.write(row)
    unfinished = "stopped" if recorder.stopping else "interrupted"
    reason = unfinished if interrupted else "done"
    recorder.write(JobEndRow(reason=reason, seconds=seconds))


def _make_interrupted_ends(directory: Path) -> list[EndRow]:
    said = f"interrupted; `rungwise resume {directory}` goes on"
    return [
        EndRow(trial=trial.id, iteration=trial.iterations, reason="interrupted", sentence=said)
        for trial in _list_running(directory)
    ]


def end_interrupted(directory: Path) -> None:
    """End the log of a run that is interrupted, where its driver cannot do so in time."""
    log = EventLog(directory / LOG)
    rows = read_event_log(log.path) if log.path.exists() else []
    begun = [i for i, row in enumerate(rows) if isinstance(row, JobRow)]
    if not begun or any(isinstance(row, JobEndRow) for row in rows[begun[-1] :]):
        return
    seconds = time.time() - rows[begun[-1]].time
    for row in (
        *_make_interrupted_ends(directory),
        JobEndRow(reason="interrupted", seconds=seconds),
    ):
        log.append(row)


def _tune(
    job: Job,
    directory: Path,
    queue: TrialQueue | list[TrialPlan],
    scheduler: Scheduler,
    recorder: Recorder,
) -> None:
    # Tune reads these before it starts: its snapshots would otherwise lag behind the checkpoints.
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1"
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    # Relative paths in settings and environments mean what they mean where the run was started.
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    # So many trials may ask for a process before there is room; one that is still to be proposed
    # should know as much as possible. A population begins together.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1" if job.searcher == "optuna" else "200"
    sessions = len(list((directory / "trials").glob("session-*")))
    earlier = read_event_log(directory / LOG)
    trainable = tune.with_resources(
        tune.with_parameters(TrialTrainable, job=job), PlacementGroupFactory(list_bundles(job))
    )
    one_by_one = isinstance(queue, TrialQueue)
    together = {} if one_by_one else {"plan": tune.grid_search([vars(plan) for plan in queue])}
    tuner = tune.Tuner(
        trainable,
        param_space=together,
        tune_config=tune.TuneConfig(
            search_alg=queue if one_by_one else None,
            num_samples=-1 if one_by_one else 1,
            scheduler=scheduler,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.config["plan"]["trial"],
        ),
        run_config=tune.RunConfig(
            name=f"session-{sessions}",
            storage_path=str(directory.absolute() / "trials"),
            stop=recorder,
            callbacks=[recorder, *make_trackers(directory, earlier)],
            verbose=0,
            sync_config=tune.SyncConfig(sync_period=1),
            failure_config=tune.FailureConfig(max_failures=job.max_failures),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=job.checkpoint_interval,
                checkpoint_at_end=True,
                # And the newest, which a resume needs; a population goes on from others'.
                num_to_keep=4 if job.scheduler == "pbt" else 2,
                checkpoint_score_attribute="checkpoint_score" if job.keep == "best" else None,
                checkpoint_score_order=job.mode or "max",
            ),
        ),
    )
    tuner.fit()


def _scheduler(job: Job, directory: Path, earlier: list[Row]) -> Scheduler:
    """The scheduler of a session, which knows the decisions of earlier ones."""
    if job.scheduler == "pbt":
        sessions = sum(isinstance(row, JobRow) for row in earlier)
        return RecordedPBT(job, directory, sessions)
    number = job.brackets if job.rungs else 1
    rungs = make_brackets(job.trial_ids, job.rungs, job.mode or "max", job.reduction_factor, number)
    scheduler = RecordedASHA(rungs)
    scheduler.restore_decisions(earlier)
    return scheduler


def _job_row(job: Job, directory: Path) -> JobRow:
    world = make_world(job.env, job.env_kwargs)
    packages = ("ray", "torch", "gymnasium", "numpy", "rungwise")
    return JobRow(
        run=directory.name,
        env=job.env,
        algo=job.algo,
        metric=job.metric,
        mode=job.mode,
        iterations=job.iterations,
        trials=len(job.trial_ids),
        keep=job.keep,
        scheduler={
            "kind": job.scheduler,
            "grace": job.grace,
            "reduction_factor": job.reduction_factor,
            "rungs": job.rungs,
            "brackets": job.brackets,
        },
        choice_names=list(world.choice_names) if world else [],
        searched=list(job.search),
        objectives=dict(job.objectives),
        seed=job.seed,
        seeds=job.seeds,
        cpus_per_trial=sum(bundle["CPU"] for bundle in list_bundles(job)),
        gpus_per_trial=job.gpus_per_trial,
        versions={name: importlib.metadata.version(name) for name in packages},
    )
