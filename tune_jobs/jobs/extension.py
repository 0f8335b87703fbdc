"""A larger budget for a run that exists: which fields of its job may change, and how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from algos.settings.training import TrainingSettings
from rungwise.validation import AtLeastOne, InputError, check_value, get_fields, unknown_name_error
from tune_jobs.jobs.given_fields import merge_fields
from tune_jobs.jobs.job import Job, make_job
from tune_jobs.jobs.job_yaml import make_plain
from tune_jobs.jobs.rllib_settings import RLlibSettings

EXTENDABLE = ("trials", "iterations", "steps", "search", "storage")
"""Fields that a resume may change; ``search`` holds the spaces of searched fields."""


def extend_job(job: Job, fields: Mapping[str, Any]) -> Job:
    """Return the job of a run with a larger budget, or with other spaces for trials that join.

    What its trials have in common stays: rungs, steps of an iteration, brackets. Extending twice by
    the same fields is extending once.

    Args:
        job: of the run.
        fields: those of :data:`EXTENDABLE` as plain values; without those that stay, and of
            ``search`` only the spaces that change.

    Raises:
        InputError: a field that must stay, a value that cannot be used, or a job that cannot be
            extended.
    """
    plain = make_plain(job)
    for name, value in fields.items():
        check_extendable(name, value)
        hint: Any = {"search": dict[str, Any], "storage": str}.get(name, int)
        check_value(name, value, hint, AtLeastOne)
    fields = dict(fields)
    if search := fields.pop("search", {}):
        for name in search:
            if name not in job.search:
                raise unknown_name_error("searched field", name, job.search, "in this run")
        fields["search"] = plain["search"] | search
    changed = {name: value for name, value in fields.items() if value != plain.get(name)}
    if not changed:
        return job
    _check_kind(job, changed)
    if "search" in changed and changed.get("trials", 0) <= job.trials:
        raise InputError(
            f"--search changes the settings of trials that join, but none do: give --trials, too, "
            f"above {job.trials}."
        )
    if job.rungs and changed.keys() & {"iterations", "steps"}:
        # Decisions were made there: those that follow are at the same rungs, and at later ones.
        plain["grace"] = job.decision_interval
    plain |= _keep_pace(job, changed)
    return make_job({**plain, **changed}, "the extended run")


def check_extendable(name: str, value: object) -> None:
    """Refuse a field of a job that no resume may change; a flag may name a part of one.

    Raises:
        InputError: saying what to do instead.
    """
    if name.partition(".")[0] in get_fields(Job).keys() - {*EXTENDABLE}:
        raise InputError(
            f"A run cannot be extended by {name} {value}: its trials would not be comparable. "
            f"Leave it out, or start another run with `rungwise tune RUN/job.yaml "
            f"--{name.replace('_', '-')} {value}`."
        )


def _check_kind(job: Job, changed: Mapping[str, Any]) -> None:
    """Refuse what the searcher, the scheduler or the kind of trials does not allow."""
    longer, wider = changed.keys() & {"iterations", "steps"}, changed.keys() & {"trials", "search"}
    reason = ""
    if longer and job.is_program:
        reason = f"programs, whose length is up to their command ({job.iterations} are its parts)"
    elif "steps" in changed and isinstance(job.settings, RLlibSettings) and not job.steps:
        reason = f"a budget of {job.iterations} iterations, whose steps are up to {job.algo}"
    elif wider and job.searcher == "grid":
        reason = f"searcher grid, whose settings change with their number (now {job.trials})"
    elif wider and job.scheduler == "pbt":
        reason = f"scheduler pbt, whose {job.trials} trials begin together"
    elif "search" in changed and job.searcher == "optuna":
        reason = "searcher optuna, which has learnt from the spaces as they are"
    if reason:
        wrong = " and ".join(f"--{name}" for name in sorted(changed))
        raise InputError(
            f"{wrong} cannot extend this run, which has {reason}: start another run, or extend "
            f"this one otherwise."
        )


def _keep_pace(job: Job, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields by which an iteration has as many steps as before."""
    if not changed.keys() & {"iterations", "steps"}:
        return {}
    if isinstance(job.settings, RLlibSettings) and job.steps:
        each = job.steps / job.iterations
        iterations = changed.get("iterations") or max(1, round(changed["steps"] / each))
        return {"iterations": iterations, "steps": math.ceil(each * iterations)}
    plain = merge_fields(make_plain(job), changed)
    kept = {name: plain[name] for name in ("iterations", "steps")}
    if not isinstance(job.settings, TrainingSettings):
        return kept
    if kept["steps"] or job.steps:
        # Rollouts are fitted to the first budget: those of a longer one could be longer.
        kept["settings"] = plain["settings"] | {"rollout_length": job.training.rollout_length}
    if job.steps and "iterations" in changed:
        kept["steps"] = changed["iterations"] * job.training.rows_per_iteration
    return kept
