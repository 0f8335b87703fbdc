"""A job with some fields replaced, by flags or by a request: which other fields then fall away."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import yaml

from tune_jobs.jobs.job import Job, resolve_env_id
from tune_jobs.jobs.job_yaml import JobLoader, dump_job
from tune_jobs.jobs.rllib_settings import RLlibSettings


def replace_fields(job: Job, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain fields of a job with some of them replaced, and settings one by one."""
    env, algo = (str(fields[name]) if name in fields else None for name in ("env", "algo"))
    plain = list_replaceable_fields(job, env=env, algo=algo)
    replaced = plain | get_dropped_budget(fields) | dict(fields)
    if isinstance(settings := fields.get("settings"), Mapping):
        replaced["settings"] = plain["settings"] | dict(settings)
    return replaced


def list_replaceable_fields(
    job: Job, *, env: str | None = None, algo: str | None = None
) -> dict[str, Any]:
    """Return the plain fields of a job, less those of another environment, algorithm or rollout.

    Args:
        job: the job.
        env: another environment, if one is given.
        algo: another algorithm, if one is given.
    """
    plain: dict[str, Any] = yaml.load(dump_job(job), JobLoader)
    if job.steps and not isinstance(job.settings, RLlibSettings):  # whose job may state both
        plain["iterations"] = 0  # as many as the steps hold, whatever is made of the rollouts
    if env and resolve_env_id(env) != job.env:
        plain |= {"env": resolve_env_id(env), "env_kwargs": {}, "metric": "", "mode": ""}
    if algo and algo != job.algo:
        # Without a search there is one setting to train, until the replaced fields name another.
        alone = {"search": {}, "points": [], "trials": 1, "repeats": None}
        plain |= {"algo": algo, "settings": {}, **alone}
    return plain


def get_dropped_budget(given: Container[str]) -> dict[str, int]:
    """Return the budget that falls away where one is given in the other unit."""
    other = {"steps": "iterations", "iterations": "steps"}
    return {name: 0 for unit, name in other.items() if unit in given}
