"""Preparation of a run: check the job and claim its directory, before any process starts."""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.formatting import format_command
from rungwise.optional_imports import find_versions
from rungwise.run_directory import JOB, check_is_local, check_is_run
from rungwise.run_log.driver_lock import hold_driver_lock
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import LOG_VERSION, JobRow, Row
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import CONTINUED
from rungwise.validation import InputError
from rungwise.whole_file import replace_whole
from rungwise.write_errors import refuse_unwritable
from tune_jobs.disk_space import check_disk_space
from tune_jobs.env_module import describe_commit, remember_module
from tune_jobs.evaluation.scoring import resolve_metric
from tune_jobs.jobs.extension import extend_job
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import dump_job, get_file_mode, list_changes, load_job
from tune_jobs.jobs.notify_url import VARIABLE, check_notify_url, save_notify_url
from tune_jobs.jobs.program_validation import validate_program_job
from tune_jobs.jobs.resources import check_resources, list_bundles
from tune_jobs.jobs.trials import add_default_point
from tune_jobs.ray_session import check_address, offered_cpus
from tune_jobs.schedulers.optuna_sampler import check_optuna
from tune_jobs.session.machine import describe_machine
from tune_jobs.session.object_storage import check_storage

if TYPE_CHECKING:
    from envs.contract.batched import World

LOG = "events.jsonl"
PACKAGES = ("ray", "torch", "gymnasium", "numpy", "rungwise")
"""Packages whose versions a run records."""


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
    check_reporting(job)
    metric, mode = resolve_metric(job)
    job = add_default_point(replace(job, metric=metric, mode=mode))
    _check_settings(job)
    if job.videos:
        from tune_jobs.evaluation.videos import check_recording

        check_recording(job.env, job.env_kwargs | job.evaluation_env_kwargs)
    claim_run_directory(directory)
    file, text = directory / JOB, dump_job(replace(job, notify=""))
    try:
        # Exclusive creation: where two processes claim a directory at once, one of them gets it.
        file.touch(get_file_mode(text), exist_ok=False)
    except FileExistsError:
        claim_run_directory(directory)
    file.write_text(text)
    save_notify_url(job.notify, directory)
    if not job.is_program:
        remember_module(job.env, directory)
    return replace(job, notify="")


def extend_run(directory: Path, fields: Mapping[str, Any]) -> Job:
    """Extend the job of a run; the session that resumes it finds out what remains to be done.

    Args:
        directory: the run directory.
        fields: as in :func:`tune_jobs.jobs.extension.extend_job`.

    Raises:
        InputError: the run is being driven, or its job cannot be extended so.
    """
    with hold_driver_lock(directory):
        job, rows = open_run(directory)
        extended = extend_job(job, fields)
        if extended == job:
            return job
        if rows:
            _check_has_room(extended, Outcome.from_rows(rows))
        _check_settings(extended)
        # Replaced in one step: after a kill the run has the one job or the other.
        text = dump_job(extended)
        with replace_whole(directory / JOB) as unfinished:
            unfinished.touch(get_file_mode(text))
            unfinished.write_text(text)
    return extended


def _check_has_room(job: Job, outcome: Outcome) -> None:
    """Refuse a budget below what has run.

    Raises:
        InputError: it is.
    """
    first = [trial for trial in outcome.trials if not trial.repeats]
    least = len(first) + job.num_repeats
    if job.trials < least:
        again = f", and {job.num_repeats} repeat the best" if job.num_repeats else ""
        raise InputError(
            f"trials is {job.trials}, but this run has {len(first)} already{again}: give at "
            f"least {least}."
        )
    reached = max((trial.iterations for trial in outcome.trials), default=0)
    if job.iterations <= reached and job.iterations < outcome.job.iterations:
        raise InputError(
            f"iterations is {job.iterations:,}, but a trial has run {reached:,} already: give more "
            "than that."
        )


def _check_settings(job: Job) -> None:
    """Check all settings of a job that are drawn before its start.

    Raises:
        InputError: some cannot be used.
    """
    if job.is_program:
        validate_program_job(job)
    else:
        from tune_jobs.session.training_checks import check_training  # late: it needs torch

        check_training(job)


def check_reporting(job: Job) -> None:
    """Check the trackers, the storage and the messages that the run is asked for.

    Raises:
        InputError: one of them cannot be used as it is configured.
    """
    check_notify_url(os.environ.get(VARIABLE, ""), VARIABLE)
    if job.needs_ray:  # trackers are callbacks of Ray Tune
        from tune_jobs.trackers.tracker import check_trackers

        check_trackers()
    check_storage(job.storage)


def check_machine(job: Job, address: str, cpus: int | None) -> None:
    """Check that this machine can hold a trial of the job, or that a Ray answers at the address.

    Raises:
        InputError: a trial needs more than this machine has, ``cpus`` is out of range, or there
            is nothing to join.
    """
    if address == "local":
        check_resources(job, offered_cpus(cpus))
    elif job.needs_ray:  # how large a cluster is does not matter, as it may grow
        check_address(address)


def claim_run_directory(directory: Path) -> None:
    """Create a run directory that nothing has used before.

    Raises:
        InputError: it exists, cannot be written, or the disk is nearly full.
    """
    check_is_local(directory)
    if directory.exists() and any(directory.iterdir() if directory.is_dir() else [directory]):
        raise InputError(
            f"{directory} exists already. Continue it with "
            f"`{format_command('rungwise', 'resume', directory)}`, or "
            "choose another directory with --out."
        )
    with refuse_unwritable(directory):
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.write_text("")
        probe.unlink()
    check_disk_space(directory)


def open_run(directory: Path) -> tuple[Job, list[Row]]:
    """Return the job and the event rows of a run directory; no rows where it has not started.

    Raises:
        InputError: the directory is not that of a run.
    """
    check_is_run(directory)
    return load_job(directory / JOB), read_rows(directory)


def is_complete(job: Job, rows: Sequence[Row]) -> bool:
    """Return whether a run with these rows has ended, and its job has not been extended since."""
    if not any(isinstance(row, JobRow) for row in rows):
        return False
    outcome, changes = Outcome.from_rows(rows), json.loads(json.dumps(list_changes(job)))
    failed = outcome.evaluation_failure or any(video.failure for video in outcome.videos)
    if failed or any(trial.end_reason in (None, *CONTINUED) for trial in outcome.trials):
        return False
    planned = len(job.name_trials()) + job.num_repeats, changes
    ended = outcome.end is not None and outcome.end.reason == "done"
    return ended and planned == (outcome.job.trials, outcome.job.changes)


def read_rows(directory: Path) -> list[Row]:
    """Return the event rows of a run directory; no rows where it has not started."""
    log = directory / LOG
    return read_event_log(log) if log.exists() else []


def make_job_row(job: Job, directory: Path, earlier: Sequence[Row]) -> JobRow:
    """Return the row with which a session begins, after the rows of earlier sessions."""
    starts = [row for row in earlier if isinstance(row, JobRow)]
    first = starts[0] if starts else None
    world = _make_world(job)
    row = JobRow(
        version=LOG_VERSION,
        run=directory.name,
        id=secrets.token_hex(8) if first is None else first.id,
        env=job.env,
        algo=job.algo,
        metric=job.metric,
        mode=job.mode,
        iterations=job.iterations,
        steps=job.steps,
        trials=len(job.name_trials()) + job.num_repeats,
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
            "pauses": job.pauses_trials,
        },
        choice_names=list(world.choice_names) if world else [],
        charts=[chart.to_dict() for chart in world.charts] if world else [],
        searched=list(job.search),
        seed=job.seed,
        seeds=job.seeds,
        cpus_per_trial=sum(bundle["CPU"] for bundle in list_bundles(job)),
        gpus_per_trial=job.gpus_per_trial,
        versions={"python": platform.python_version(), **find_versions(PACKAGES)},
        commit=describe_commit(directory),
        machine=describe_machine(),
        resumed=bool(earlier),
    )
    return replace(row, extension=_describe_extension(starts[-1], row)) if starts else row


def _describe_extension(before: JobRow, after: JobRow) -> str:
    """Describe what differs between the starts of two sessions in budget and search."""
    parts = [
        f"{name} from {getattr(before, name):,} to {getattr(after, name):,}"
        for name in ("trials", "iterations")
        if getattr(before, name) != getattr(after, name)
    ]
    spaces, now = (row.changes.get("search", {}) for row in (before, after))
    parts += [
        f"search.{name} from {spaces.get(name)} to {space}"
        for name, space in now.items()
        if space != spaces.get(name)
    ]
    return ", ".join(parts)


def _make_world(job: Job) -> World | None:
    if job.is_program:
        return None
    from tune_jobs.evaluation.evaluation_world import make_world

    return make_world(job.env, job.env_kwargs)
