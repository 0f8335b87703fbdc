"""Preparation of a run: check the job and claim its directory, before any process starts."""

from __future__ import annotations

import importlib.metadata
import platform
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from algos.models import MODELS
from algos.rollouts.env_factory import make_vector_env
from envs.validation import InputError
from tune_jobs.disk_space import check_disk_space
from tune_jobs.env_module import describe_commit, remember_module
from tune_jobs.evaluation.evaluation_world import check_spaces_fit, make_world
from tune_jobs.evaluation.scoring import resolve_metric
from tune_jobs.evaluation.videos import check_recording
from tune_jobs.formatting import format_command
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_validation import validate_job
from tune_jobs.jobs.job_yaml import dump_job, list_changes, read_job
from tune_jobs.jobs.resources import list_bundles
from tune_jobs.jobs.rllib_settings import RLlibSettings
from tune_jobs.jobs.trials import add_default_point
from tune_jobs.run_directory import JOB, check_is_run
from tune_jobs.run_log.event_log import read_event_log
from tune_jobs.run_log.events import JobRow, Row
from tune_jobs.run_log.object_storage import check_mirror
from tune_jobs.schedulers.optuna_sampler import check_optuna
from tune_jobs.session.machine import describe_machine
from tune_jobs.trackers.tracker import check_trackers

LOG = "events.jsonl"
PACKAGES = ("ray", "torch", "gymnasium", "numpy", "rungwise")
"""Packages whose versions a run records."""
FOLDER_SETTINGS = ("record", "v_star_cache")
"""Settings that name a folder to write into."""


def prepare_job(job: Job, directory: Path) -> Job:
    """Check a job, fill in its metric and first trial, claim its run directory; needs no Ray.

    Returns:
        The job as the run directory holds it.

    Raises:
        InputError: something that would fail later: an environment (that of evaluations, too), a
            metric, a drawn setting, a tracker, a folder or the disk.
    """
    if job.searcher == "optuna":
        check_optuna()
    check_reporting()
    metric, mode = resolve_metric(job)
    job = add_default_point(replace(job, metric=metric, mode=mode))
    validate_job(job)
    if not job.is_program:
        _check_evaluation_environment(job)
        _check_folders(job)
    if job.videos:
        check_recording(job.env, job.env_kwargs | job.evaluation_env_kwargs)
    claim_run_directory(directory)
    try:
        # Exclusive creation: where two processes claim a directory at once, one of them gets it.
        with (directory / JOB).open("x") as file:
            file.write(dump_job(job))
    except FileExistsError:
        claim_run_directory(directory)
    if not job.is_program:
        remember_module(job.env, directory)
    return job


def _check_evaluation_environment(job: Job) -> None:
    """Check that the policies of a job can act in the environment of its evaluations.

    Raises:
        InputError: it cannot be made with ``evaluation_env_kwargs``, or has other spaces.
    """
    if not job.evaluation_env_kwargs:
        return
    known_kwargs: list[dict[str, Any]] = []
    for trial_config in job.sample_configs_to_validate():
        _, env_kwargs = job.split_trial_config(trial_config)
        if env_kwargs in known_kwargs:
            continue
        known_kwargs.append(env_kwargs)
        env = make_vector_env(job.env, env_kwargs, 1)
        env_spaces = (env.single_observation_space, env.single_action_space)
        env.close()
        any_size = False
        if not isinstance(job.settings, RLlibSettings):
            settings, _ = job.make_trial_settings(trial_config)
            config = settings.model_config
            make = MODELS[settings.model]
            any_size = make(
                observation_space=env_spaces[0], action_space=env_spaces[1], model_config=config
            ).accepts_any_size
        evaluation_kwargs = env_kwargs | job.evaluation_env_kwargs
        try:
            check_spaces_fit(env_spaces, job.env, evaluation_kwargs, any_size=any_size)
        except InputError as error:
            raise InputError(f"evaluation_env_kwargs cannot be used: {error}") from error


def _check_folders(job: Job) -> None:
    """Check that the folders that a job's settings name can be written.

    Raises:
        InputError: one of them cannot.
    """
    for name in FOLDER_SETTINGS:
        path = getattr(job.settings, name, "")
        if not path:
            continue
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path).close()
        except OSError as error:
            raise InputError(
                f"settings.{name} is {path}, which cannot be written ({error.strerror}): name "
                "another folder."
            ) from error


def check_reporting() -> None:
    """Check the trackers and the mirror that the process environment asks for.

    Raises:
        InputError: one of them cannot be used as it is configured.
    """
    check_trackers()
    check_mirror()


def claim_run_directory(directory: Path) -> None:
    """Create a run directory that nothing has used before.

    Raises:
        InputError: it exists, cannot be written, or the disk is nearly full.
    """
    if directory.exists() and any(directory.iterdir() if directory.is_dir() else [directory]):
        raise InputError(
            f"{directory} exists already. Continue it with "
            f"`{format_command('rungwise', 'resume', directory)}`, or "
            "choose another directory with --out."
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{directory} cannot be written ({error.strerror}); choose another directory with "
            "--out."
        ) from error
    check_disk_space(directory)


def open_run(directory: Path) -> tuple[Job, list[Row]]:
    """Return the job and the event rows of a run directory; no rows where it has not started.

    Raises:
        InputError: the directory is not that of a run.
    """
    check_is_run(directory)
    log = directory / LOG
    return read_job(directory / JOB), read_event_log(log) if log.exists() else []


def make_job_row(job: Job, directory: Path, earlier: Sequence[Row]) -> JobRow:
    """Return the row with which a session begins, after the rows of earlier sessions."""
    first = next((row for row in earlier if isinstance(row, JobRow)), None)
    world = None if job.is_program else make_world(job.env, job.env_kwargs)
    return JobRow(
        run=directory.name,
        id=secrets.token_hex(8) if first is None else first.id,
        env=job.env,
        algo=job.algo,
        metric=job.metric,
        mode=job.mode,
        iterations=job.iterations,
        steps=job.steps,
        trials=len(job.trial_ids),
        keep="last" if job.is_program else job.keep,
        patience=job.patience,
        observe=job.observe,
        changes=list_changes(job),
        scheduler={
            "kind": job.scheduler,
            "grace": job.decision_interval,
            "reduction_factor": job.reduction_factor,
            "rungs": job.rungs,
            "brackets": job.brackets,
        },
        choice_names=list(world.choice_names) if world else [],
        charts=[chart.to_dict() for chart in world.charts] if world else [],
        searched=list(job.search),
        seed=job.seed,
        seeds=job.seeds,
        cpus_per_trial=sum(bundle["CPU"] for bundle in list_bundles(job)),
        gpus_per_trial=job.gpus_per_trial,
        versions={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        commit=describe_commit(directory),
        machine=describe_machine(),
        resumed=bool(earlier),
    )
