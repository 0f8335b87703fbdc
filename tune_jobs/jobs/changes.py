"""What a job sets that differs from the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_jobs.formatting import format_values
from tune_jobs.jobs.budget import DEFAULT_ITERATIONS
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import make_plain

PARTS = ("settings", "env_kwargs", "evaluation_env_kwargs", "search", "health")
"""Fields of a job that hold names and values; the other fields are the part ``job``."""
SHOWN_ELSEWHERE = ("env", "algo", "metric", "mode", "trials", "scheduler", "points")
"""Fields that every display of a job names, or that are too long for one."""


def list_changes(job: Job) -> dict[str, dict[str, Any]]:
    """Return what differs from the defaults by part of the job; parts without any are left out.

    The arguments of the environment are all listed: a job holds only those that were given.
    """
    plain, default = make_plain(job), make_plain(Job(env=job.env, algo=job.algo))
    own = {name: value for name, value in plain.items() if value != default[name]}
    if job.steps or job.iterations == DEFAULT_ITERATIONS:
        own.pop("iterations", None)  # resolved from the steps, or the default
    settings = plain["settings"].items()
    changes = {part: plain[part] for part in PARTS}
    # RLlib's defaults are as slow to read as RLlib: all that a job sets differs from them.
    changes["settings"] = {n: v for n, v in settings if v != default["settings"].get(n, ...)}
    changes["job"] = {n: v for n, v in own.items() if n not in (*PARTS, *SHOWN_ELSEWHERE)}
    return {part: values for part, values in changes.items() if values}


def format_changes(changes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each part: ``settings: lr 0.001, epochs 2``."""
    return [f"{part}: {format_values(values)}" for part, values in changes.items()]
