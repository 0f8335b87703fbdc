"""What a job sets that differs from the defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from tune_jobs.formatting import format_values
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.rllib_settings import RLlibSettings
from tune_jobs.jobs.search_space import Space
from tune_jobs.jobs.step_budget import DEFAULT_ITERATIONS

PARTS = ("settings", "env_kwargs", "evaluation_env_kwargs", "search", "health")
"""Fields of a job that hold names and values; the other fields are the part ``job``."""
SHOWN_ELSEWHERE = ("env", "algo", "metric", "mode", "trials", "scheduler", "points")
"""Fields that every display of a job names, or that are too long for one."""


def list_changes(job: Job) -> dict[str, dict[str, Any]]:
    """Return what differs from the defaults by part of the job; parts without any are left out.

    The arguments of the environment are all listed: a job holds only those that were given.
    """
    own = _compare_with_defaults(job)
    if job.steps or job.iterations == DEFAULT_ITERATIONS:
        own.pop("iterations")  # resolved from the steps, or the default
    if isinstance(job.settings, RLlibSettings):
        changes = {"settings": job.settings.values}
    else:
        changes = {"settings": _compare_with_defaults(job.settings)}
    changes |= {part: dict(getattr(job, part)) for part in PARTS[1:]}
    changes["job"] = {n: v for n, v in own.items() if n not in (*PARTS, *SHOWN_ELSEWHERE)}
    return {
        part: {name: _to_plain(value) for name, value in values.items()}
        for part, values in changes.items()
        if values
    }


def format_changes(changes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each part: ``settings: lr 0.001, epochs 2``."""
    return [f"{part}: {format_values(values)}" for part, values in changes.items()]


def _compare_with_defaults(instance: Any) -> dict[str, Any]:
    """Return the fields of a dataclass whose value is not the default."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        if value != default:
            changed[field.name] = value
    return changed


def _to_plain(value: Any) -> Any:
    """Return a value as the event log holds it."""
    if isinstance(value, Space):
        return {value.kind: list(value.values)}
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else value
