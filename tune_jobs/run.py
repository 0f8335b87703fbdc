"""Run a job from start to report, and resume it after any crash.

A run is its directory. ``events.jsonl`` says which trials ended and where the others' checkpoints
are, so resuming starts a new Tune session with only what is left; nothing depends on Tune's own
experiment snapshots, which lag behind the checkpoints and lose the scheduler's state.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.execution.placement_groups import PlacementGroupFactory

from algos.checkpoint import DamagedCheckpoint, verify
from envs.validation import InputError
from tune_jobs.evaluate import evaluate_checkpoint, score_of, world_of
from tune_jobs.events import CheckpointRow, EndRow, EventLog, JobEndRow, JobRow, Row, TrialRow, read
from tune_jobs.job import Job
from tune_jobs.ledger import write_ledger
from tune_jobs.loading import dump_job, parse_job
from tune_jobs.outcome import Outcome
from tune_jobs.preflight import preflight
from tune_jobs.recorder import Listener, Recorder, faults_of
from tune_jobs.report import write_report
from tune_jobs.schedulers import RecordedASHA, Rungs
from tune_jobs.tensorboard import Curves
from tune_jobs.trial import Trial

NEEDED_BYTES = 200 * 2**20
"""Free space below which a run is not started: a full disk in the middle ruins Tune's files."""


@dataclass(frozen=True)
class Plan:
    """A trial that is to be run in this session."""

    trial: str
    drawn: dict[str, Any]
    faults: str
    """Directory where its processes leave reports when they hang."""
    resume: str = ""
    """Checkpoint to go on from; empty to start anew."""


def prepared(job: Job, directory: Path) -> Job:
    """The job ready to start: checked, its metric filled in, its directory claimed. Needs no Ray.

    Raises:
        InputError: something that would fail later: an environment, a metric, a drawn setting, the
            directory or the disk.
    """
    metric, mode = score_of(job)
    job = replace(job, metric=metric, mode=mode)
    preflight(job)
    claim(directory)
    (directory / "job.yaml").write_text(dump_job(job))
    return job


def start(job: Job, directory: Path, listener: Listener) -> Outcome:
    """Run a prepared job, on an initialised Ray."""
    width = max(2, len(str(job.trials - 1)))
    names = [f"{i:0{width}d}" for i in range(job.trials)]
    plans = [
        Plan(name, setting, str(faults_of(directory, name)))
        for name, setting in zip(names, job.drawn(), strict=True)
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
    row = replace(_job_row(job, directory), resumed=True)
    EventLog(directory / "events.jsonl").append(row)
    listener(row)
    return _finish(job, directory, unfinished(directory, rows), rows, listener)


def open_run(directory: Path) -> tuple[Job, list[Row]]:
    """The job and the event rows of a run directory."""
    path = directory / "job.yaml"
    if not path.is_file():
        raise InputError(f"{directory} is not a run: it has no job.yaml. Runs are listed in runs/.")
    return parse_job(path.read_text(), str(path)), read(directory / "events.jsonl")


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
    free = shutil.disk_usage(directory).free
    if free < NEEDED_BYTES:
        raise InputError(
            f"Only {free / 2**20:.0f} MiB are free at {directory}, and a run needs "
            f"{NEEDED_BYTES / 2**20:.0f}; free some space or choose another place with --out."
        )


def unfinished(directory: Path, rows: Sequence[Row]) -> list[Plan]:
    """What is left of a run: trials without an end, from their newest sound checkpoint."""
    drawn = {row.trial: row.config for row in rows if isinstance(row, TrialRow)}
    ended = {r.trial for r in rows if isinstance(r, EndRow) and r.reason != "interrupted"}
    paths: dict[str, list[str]] = {}
    for row in rows:
        if isinstance(row, CheckpointRow):
            paths.setdefault(row.trial, []).append(row.path)
    return [
        Plan(
            trial,
            setting,
            str(faults_of(directory, trial)),
            _newest_sound(directory, paths.get(trial, [])),
        )
        for trial, setting in drawn.items()
        if trial not in ended
    ]


def _newest_sound(directory: Path, paths: Sequence[str]) -> str:
    for path in reversed(paths):
        try:
            verify(directory / path)
        except DamagedCheckpoint:
            continue
        return str(directory / path)
    return ""


def _finish(
    job: Job, directory: Path, plans: list[Plan], earlier: list[Row], listener: Listener
) -> Outcome:
    """Run what is left, compare the best trial, write ledger and report."""
    started = time.monotonic()
    rungs = Rungs(job.rungs, job.mode or "max", job.reduction_factor)
    rungs.recall(earlier)
    scheduler = RecordedASHA(rungs)
    recorder = Recorder(job, directory, scheduler, listener, earlier)
    if plans:
        _tune(job, directory, plans, scheduler, recorder)
    outcome = Outcome.of(read(directory / "events.jsonl"))
    running = [trial for trial in outcome.trials if trial.end_reason is None]
    for trial in running:
        said = f"interrupted; `rungwise resume {directory}` goes on"
        recorder.write(
            EndRow(trial=trial.id, iteration=trial.iterations, reason="interrupted", sentence=said)
        )
    best = outcome.best
    compared = [row for row in outcome.evaluations if best and row.checkpoint == best.checkpoint]
    if best and best.checkpoint and job.evaluation_episodes and not running and not compared:
        recorder.write(evaluate_checkpoint(job, directory, best.id, best.checkpoint))
    reason = "interrupted" if running else "done"
    recorder.write(JobEndRow(reason=reason, seconds=time.monotonic() - started))
    rows = read(directory / "events.jsonl")
    write_ledger(rows, directory / "ledger.parquet")
    write_report(rows, (directory / "job.yaml").read_text(), directory / "report.html")
    return Outcome.of(rows)


def _tune(
    job: Job, directory: Path, plans: list[Plan], scheduler: RecordedASHA, recorder: Recorder
) -> None:
    # Tune reads these before it starts: its snapshots would otherwise lag behind the checkpoints.
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1"
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    # Relative paths in settings and environments mean what they mean where the run was started.
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    sessions = len(list((directory / "trials").glob("session-*")))
    bundles = [{"CPU": job.cpus_per_trial, "GPU": job.gpus_per_trial}]
    bundles += [{"CPU": 1.0}] * (job.settings.num_env_runners + job.settings.num_learners)
    trainable = tune.with_resources(
        tune.with_parameters(Trial, job=job), PlacementGroupFactory(bundles)
    )
    tuner = tune.Tuner(
        trainable,
        param_space={"plan": tune.grid_search([vars(plan) for plan in plans])},
        tune_config=tune.TuneConfig(
            scheduler=scheduler,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.config["plan"]["trial"],
        ),
        run_config=tune.RunConfig(
            name=f"session-{sessions}",
            storage_path=str(directory.absolute() / "trials"),
            stop=recorder,
            callbacks=[recorder, Curves()],
            verbose=0,
            sync_config=tune.SyncConfig(sync_period=1),
            failure_config=tune.FailureConfig(max_failures=job.max_failures),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=job.checkpoint_every,
                checkpoint_at_end=True,
                num_to_keep=2,  # and the newest, which a resume needs
                checkpoint_score_attribute="score" if job.keep == "best" else None,
                checkpoint_score_order=job.mode or "max",
            ),
        ),
    )
    tuner.fit()


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
        trials=job.trials,
        keep=job.keep,
        scheduler={
            "kind": job.scheduler,
            "grace": job.grace,
            "reduction_factor": job.reduction_factor,
            "rungs": job.rungs,
        },
        choice_names=list(world.choice_names) if world else [],
        searched=list(job.search),
        seed=job.seed,
        gpus_per_trial=job.gpus_per_trial,
        versions={name: importlib.metadata.version(name) for name in packages},
    )
