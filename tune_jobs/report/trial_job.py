"""The settings of one trial: as a job that trains them alone, and next to the defaults."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import envs
from rungwise.formatting import format_command
from rungwise.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_fields import SchedulerFields, SearchFields
from tune_jobs.jobs.job_yaml import (
    PARTS,
    SHOWN_ELSEWHERE,
    dump_plain,
    list_changes,
    make_plain,
    mask_environment,
    parse_job,
)
from tune_jobs.jobs.rllib_settings import RLlibSettings
from tune_jobs.jobs.search_space import ENV_PREFIX

UNUSABLE = (InputError, TypeError)
"""Errors of values that this version cannot use, such as a setting that it does not have."""
UNKNOWN = "not known"
"""In place of a default that only another package knows."""


class TrialSetting(NamedTuple):
    """One setting of a trial."""

    name: str
    value: Any
    default: Any
    is_searched: bool
    differs: bool
    """Whether the value is not the default."""


def read_run_job(directory: Path) -> Job | None:
    """Return the job of a run; None where its file is gone or of another version."""
    try:
        return parse_job_or_none((directory / "job.yaml").read_text())
    except OSError:
        return None


@functools.lru_cache(maxsize=32)  # the page of a growing trial asks after every result
def parse_job_or_none(job_yaml: str) -> Job | None:
    """Return the job in a text; None for one of another version that cannot be read any more."""
    try:
        return parse_job(job_yaml, "the job")
    except UNUSABLE:
        return None


def make_trial_job(job: Job, config: Mapping[str, Any]) -> Job:
    """Return the job that trains one setting of a sweep alone.

    Args:
        job: the sweep.
        config: the searched values; other settings among them replace those of the job.

    Raises:
        InputError, TypeError: a value cannot be used.
    """
    alone: dict[str, Any] = {
        "trials": 1, "scheduler": "none", "repeats": None, "brackets": 1, "searcher": "random"
    }  # fmt: skip
    alone |= {"grace": 0, "reduction_factor": 2}  # of rungs, which one trial has none of
    if job.is_program:  # its command names the searched values, which a point gives
        return replace(job, points=[dict(config)] if job.search else [], **alone)
    searched, env_kwargs = job.split_trial_config(dict(config))
    settings: Any = make_plain(job)["settings"] | searched
    return replace(job, settings=settings, env_kwargs=env_kwargs, search={}, points=[], **alone)


def dump_trial_job(job: Job, config: Mapping[str, Any]) -> str:
    """Return one setting of a sweep as a job file, without what is default.

    Empty where the values cannot be used any more.
    """
    try:
        alone = make_trial_job(job, config)
    except UNUSABLE:
        return ""
    plain = make_plain(alone)
    if not job.is_program:
        default = make_plain(Job(env=job.env, algo=job.algo))
        if not isinstance(job.settings, RLlibSettings):
            settings, usual = plain["settings"], default["settings"]
            plain["settings"] = {n: v for n, v in settings.items() if v != usual[n]}
        if job.steps:
            plain["iterations"] = default["iterations"]  # as many as the steps hold
        kept = ("env", "algo")
        plain = {n: v for n, v in plain.items() if n in kept or (v != {} and v != default[n])}
    return dump_plain(plain)


def format_training(file: str, job_yaml: str) -> str:
    """Return the lines of a shell that write a job file and train it."""
    # No line of the file is the bare delimiter: all of it are fields of a job or indented.
    write = f"cat > {shlex.quote(file)} <<'END'\n{job_yaml}END\n"
    return write + format_command("rungwise", "train", file)


def list_trial_settings(job: Job, config: Mapping[str, Any]) -> list[TrialSetting]:
    """List all settings of a trial with their defaults, in the order of the job's fields.

    Args:
        job: its sweep.
        config: its searched values.

    Raises:
        InputError, TypeError: a value cannot be used any more.
    """
    alone = make_trial_job(job, config)
    plain = mask_environment(make_plain(alone))
    default = make_plain(Job(env=job.env, algo=job.algo))
    family = envs.FAMILIES.get(job.env.removeprefix("envs:"))
    usual = asdict(family.params()) if family else {}
    of_env = usual | plain["env_kwargs"]
    values = dict(config) if job.is_program else {}
    values |= plain["settings"] | {ENV_PREFIX + name: value for name, value in of_env.items()}
    defaults = default["settings"] | {ENV_PREFIX + name: value for name, value in usual.items()}
    settings = [
        TrialSetting(n, v, d := defaults.get(n, UNKNOWN), n in config, v != d)
        for n, v in values.items()
    ]
    # Where they differ is asked of the sweep: a trial alone has another scheduler.
    changed = list_changes(job).get("job", {})
    of_sweep = {f.name for part in (SearchFields, SchedulerFields) for f in fields(part)}
    left_out = {*PARTS, *SHOWN_ELSEWHERE, *of_sweep} - {"seeds"}
    left_out |= {"iterations"} if job.steps else set()  # as many as the steps hold
    settings += [
        TrialSetting(name, value, default[name], False, name in changed)
        for name, value in make_plain(job).items()
        if name not in left_out
    ]
    return settings
