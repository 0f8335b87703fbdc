"""Run a job from start to report, and resume it after any crash.

A run is its directory. ``events.jsonl`` says which trials ended and where the others' checkpoints
are, so resuming starts a new Tune session with only what is left; nothing depends on Tune's own
experiment snapshots, which lag behind the checkpoints and lose the scheduler's state.
"""

from __future__ import annotations

import errno
import importlib.metadata
import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from ray import tune
from ray.tune.execution.placement_groups import PlacementGroupFactory

from envs.validation import InputError
from tune_jobs.evaluate import score_of, world_of
from tune_jobs.evaluating import Listener
from tune_jobs.events import EndRow, EventLog, JobEndRow, JobRow, Row, TrialRow, read
from tune_jobs.finals import name_winner
from tune_jobs.job import Job
from tune_jobs.ledger import write_ledger
from tune_jobs.loading import dump_job, read_job
from tune_jobs.mirror import check_mirror, mirrored
from tune_jobs.mlflow_runs import check_mlflow, mlflow_runs
from tune_jobs.outcome import Outcome
from tune_jobs.population import RecordedPBT
from tune_jobs.preflight import preflight
from tune_jobs.proposals import Proposals, check_optuna
from tune_jobs.queue import Queue
from tune_jobs.recorder import Recorder, Scheduler
from tune_jobs.remainder import Plan, faults_of, remainder
from tune_jobs.report import write_report
from tune_jobs.rungs import brackets
from tune_jobs.schedulers import RecordedASHA
from tune_jobs.tensorboard import Curves
from tune_jobs.trial import Trial
from tune_jobs.weights_and_biases import check_wandb, wandb_runs

NEEDED_BYTES = 200 * 2**20
"""Free space below which a run is not started: a full disk in the middle ruins Tune's files."""
FULL_BYTES = 2**20
"""Free space below which a failure is put down to the disk."""


class DiskFull(Exception):
    """A run was ended by a full disk; nothing that was saved is lost."""


def prepared(job: Job, directory: Path) -> Job:
    """The job ready to start: checked, its metric filled in, its directory claimed. Needs no Ray.

    Raises:
        InputError: something that would fail later: an environment, a metric, a drawn setting, the
            directory or the disk.
    """
    if job.searcher == "optuna":
        check_optuna()
    check_wandb()
    check_mlflow()
    check_mirror()
    for name, good in job.objectives.items():
        score_of(replace(job, metric=name, mode=good))
    metric, mode = score_of(job)
    job = replace(job, metric=metric, mode=mode)
    preflight(job)
    claim(directory)
    (directory / "job.yaml").write_text(dump_job(job))
    return job


def start(job: Job, directory: Path, listener: Listener) -> Outcome:
    """Run a prepared job, on an initialised Ray."""
    plans = [
        Plan(name, setting, str(faults_of(directory, name)))
        for name, setting in zip(job.names, job.drawn(), strict=False)
    ]
    log = EventLog(directory / "events.jsonl")
    rows: list[Row] = [
        _job_row(job, directory),
        *(TrialRow(trial=p.trial, config=p.drawn) for p in plans),
    ]
    for row in rows:
        log.append(row)
        listener(row)
    return _finish(job, directory, plans, rows, listener)


def resume(directory: Path, listener: Listener) -> Outcome:
    """Go on with an unfinished run: no finished trial runs again.

    Raises:
        InputError: not a run directory.
    """
    job, rows = open_run(directory)
    check_space(directory)
    left = remainder(directory, rows)
    log = EventLog(directory / "events.jsonl")
    with _telling_a_full_disk(directory):
        for row in (replace(_job_row(job, directory), resumed=True), *left.owed):
            log.append(row)
            listener(row)
            rows.append(row)
    return _finish(job, directory, left.plans, rows, listener)


def open_run(directory: Path) -> tuple[Job, list[Row]]:
    """The job and the event rows of a run directory."""
    path = directory / "job.yaml"
    if not path.is_file():
        raise InputError(f"{directory} is not a run: it has no job.yaml. Runs are listed in runs/.")
    return read_job(path), read(directory / "events.jsonl")


def claim(directory: Path) -> None:
    """Create a run directory that nobody has used.

    Raises:
        InputError: it exists, cannot be written, or the disk is nearly full.
    """
    if directory.exists() and any(directory.iterdir() if directory.is_dir() else [directory]):
        raise InputError(
            f"{directory} exists already. Continue it with `rungwise resume {directory}`, or "
            "choose another place with --out."
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{directory} cannot be written ({error.strerror}); choose another place with --out."
        ) from error
    check_space(directory)


def check_space(directory: Path) -> None:
    """Refuse to train where the disk is nearly full.

    Raises:
        InputError: saying how much is free and how much is needed.
    """
    free = shutil.disk_usage(directory).free
    if free < NEEDED_BYTES:
        raise InputError(
            f"Only {free / 2**20:.0f} MiB are free at {directory}, and a run needs "
            f"{NEEDED_BYTES / 2**20:.0f}; free some space or choose another place with --out."
        )


def check_room(job: Job, cpus: int | None) -> None:
    """Refuse a job of which this machine can never hold a trial: Ray would wait for ever.

    Raises:
        InputError: saying what a trial holds, what there is and what to change.
    """
    for kind, there, way in (
        ("CPU", cpus or os.cpu_count() or 1, "offer more with --cpus, or set fewer workers"),
        ("GPU", torch.cuda.device_count(), "set --gpus-per-trial lower"),
    ):
        held = sum(bundle.get(kind, 0.0) for bundle in _bundles(job))
        if held > there:
            kinds = kind if held == 1 else f"{kind}s"
            said = f"All processes of a trial of this job hold {held:g} {kinds}, "
            raise InputError(f"{said}but this machine offers {there}: {way}.")


@contextmanager
def _telling_a_full_disk(directory: Path) -> Generator[None]:
    """Say in a sentence that the disk is full, wherever a write fails with it.

    Raises:
        DiskFull: naming the directory and how to go on.
    """
    try:
        yield
    except Exception as error:
        # Tune writes its own files there too, and fails in many ways when it cannot.
        cause: BaseException | None = error
        while cause is not None and getattr(cause, "errno", None) != errno.ENOSPC:
            cause = cause.__cause__ or cause.__context__
        if cause is None and shutil.disk_usage(directory).free >= FULL_BYTES:
            raise
        raise DiskFull(
            f"The disk of {directory} is full. Nothing that was saved is lost: free some space, "
            f"then `rungwise resume {directory}` goes on from the last checkpoints."
        ) from error


def _finish(
    job: Job, directory: Path, plans: list[Plan], earlier: list[Row], listener: Listener
) -> Outcome:
    """Run what is left, compare the best trial, write ledger and report."""
    started = time.monotonic()
    scheduler = _scheduler(job, directory, earlier)
    proposals = Proposals(job, directory, earlier) if job.searcher == "optuna" else None

    def told(row: Row) -> None:
        listener(row)
        if proposals:
            proposals.hear(row)

    recorder = Recorder(job, directory, scheduler, told, earlier)

    def begin(plan: Plan) -> None:
        recorder.write(TrialRow(trial=plan.trial, config=plan.drawn))

    with _telling_a_full_disk(directory), mirrored(directory):
        if plans or (proposals and proposals.left):
            queue: Queue | list[Plan] = plans  # Tune allows a population no searcher beside it
            if isinstance(scheduler, RecordedASHA):
                queue = Queue(plans, scheduler, proposals, begin)
            _tune(job, directory, queue, scheduler, recorder)
        recorder.write_decisions()
        outcome = Outcome.of(read(directory / "events.jsonl"))
        running = [trial for trial in outcome.trials if trial.end_reason is None]
        for trial in running:
            said = f"interrupted; `rungwise resume {directory}` goes on"
            at = trial.iterations
            recorder.write(
                EndRow(trial=trial.id, iteration=at, reason="interrupted", sentence=said)
            )
        if not running and job.most_evaluated:
            name_winner(job, directory, recorder.write, listener)
        ended = "stopped" if recorder.stopping else "interrupted"
        reason = ended if running else "done"
        recorder.write(JobEndRow(reason=reason, seconds=time.monotonic() - started))
        rows = read(directory / "events.jsonl")
        write_ledger(rows, directory / "ledger.parquet")
        write_report(rows, (directory / "job.yaml").read_text(), directory / "report.html")
    return Outcome.of(rows)


def _tune(
    job: Job,
    directory: Path,
    queue: Queue | list[Plan],
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
    earlier = read(directory / "events.jsonl")
    trainable = tune.with_resources(
        tune.with_parameters(Trial, job=job), PlacementGroupFactory(_bundles(job))
    )
    one_by_one = isinstance(queue, Queue)
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
            callbacks=[
                recorder,
                Curves(earlier),
                *wandb_runs(directory, earlier),
                *mlflow_runs(directory, earlier),
            ],
            verbose=0,
            sync_config=tune.SyncConfig(sync_period=1),
            failure_config=tune.FailureConfig(max_failures=job.max_failures),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=job.checkpoint_every,
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
    rungs = brackets(job.names, job.rungs, job.mode or "max", job.reduction_factor, number)
    scheduler = RecordedASHA(rungs)
    scheduler.recall(earlier)
    return scheduler


def _bundles(job: Job) -> list[dict[str, float]]:
    """What a trial holds: its own process, then each of its workers; GPUs are where it learns."""
    gpus = {"GPU": job.gpus_per_learner}
    own, learner, learners = {"CPU": job.cpus_per_trial}, {"CPU": 1.0}, job.settings.num_learners
    runners = [{"CPU": 1.0}] * job.settings.num_env_runners
    return [own, *runners, *[learner | gpus] * learners] if learners else [own | gpus, *runners]


def _job_row(job: Job, directory: Path) -> JobRow:
    world = world_of(job.env, job.env_kwargs)
    packages = ("ray", "torch", "gymnasium", "numpy", "rungwise")
    return JobRow(
        run=directory.name,
        env=job.env,
        algo=job.algo,
        metric=job.metric,
        mode=job.mode,
        iterations=job.iterations,
        trials=len(job.names),
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
        cpus_per_trial=sum(bundle["CPU"] for bundle in _bundles(job)),
        gpus_per_trial=job.gpus_per_trial,
        versions={name: importlib.metadata.version(name) for name in packages},
    )
