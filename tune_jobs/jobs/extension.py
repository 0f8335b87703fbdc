"""A larger budget for a run that exists: which fields of its job may change, and how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from algos.config import TrainingSettings
from envs.validation import AtLeastOne, InputError, check_value, unknown_name_error
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import make_job, make_plain, replace_fields
from tune_jobs.jobs.rllib_settings import RLlibSettings

EXTENDABLE = ("trials", "iterations", "steps", "search")
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
        if name not in EXTENDABLE:
            refuse_change(name, value, plain)
        hint: Any = dict[str, Any] if name == "search" else int
        check_value(name, value, hint, AtLeastOne)
    fields = dict(fields)
    if search := fields.pop("search", {}):
        for name in search:
            if name not in job.search:
                raise unknown_name_error("searched field", name, job.search, "in this run")
        fields["search"] = plain["search"] | search
    changed = {name: value for name, value in fields.items() if value != plain[name]}
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


def refuse_change(name: str, value: object, plain: Mapping[str, Any]) -> NoReturn:
    """Refuse a field of a job that no resume may change.

    Raises:
        InputError: saying what it is in the run, and what to do instead.
    """
    group, _, part = name.partition(".")  # a flag may name one of the settings
    if group not in plain:
        raise unknown_name_error("field", name, EXTENDABLE, "of a run that is extended")
    now = plain[group].get(part) if part and isinstance(plain[group], dict) else plain[group]
    raise InputError(
        f"{name} is {now!r} in this run and cannot become {value!r}: its trials would not "
        "be comparable. Resume it without that, or start another run with `rungwise tune "
        f"RUN/job.yaml --{name.replace('_', '-')} ...`."
    )


def _check_kind(job: Job, changed: Mapping[str, Any]) -> None:
    """Refuse what the searcher, the scheduler or the kind of trials does not allow."""
    if job.is_program and changed.keys() & {"iterations", "steps"}:
        raise InputError(
            f"The trials of this run are programs: how far they go is up to their command, and "
            f"iterations ({job.iterations}) are parts of it. Start another run of a longer command."
        )
    wide = changed.keys() & {"trials", "search"}
    if isinstance(job.settings, RLlibSettings) and "steps" in changed and not job.steps:
        raise InputError(
            f"The budget of this run is {job.iterations} iterations, whose steps are up to "
            f"{job.algo}: give --iterations."
        )
    if wide and job.searcher == "grid":
        raise InputError(
            f"This run has searcher grid, whose settings all change with the number of trials "
            f"(now {job.trials}): start another run, or give only --iterations."
        )
    if wide and job.scheduler == "pbt":
        raise InputError(
            f"This run has scheduler pbt, whose {job.trials} trials begin together: start another "
            "run, or give only --iterations."
        )
    if "search" in changed and job.searcher == "optuna":
        raise InputError(
            "This run has searcher optuna, which has learnt from the spaces as they are: start "
            "another run, or give only --trials."
        )


def _keep_pace(job: Job, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields by which an iteration has as many steps as before."""
    if not changed.keys() & {"iterations", "steps"}:
        return {}
    if isinstance(job.settings, RLlibSettings) and job.steps:
        each = job.steps / job.iterations
        iterations = changed.get("iterations") or max(1, round(changed["steps"] / each))
        return {"iterations": iterations, "steps": math.ceil(each * iterations)}
    plain = replace_fields(job, changed)
    kept = {name: plain[name] for name in ("iterations", "steps")}
    if not isinstance(job.settings, TrainingSettings):
        return kept
    if kept["steps"] or job.steps:
        # Rollouts are fitted to the first budget: those of a longer one could be longer.
        kept["settings"] = plain["settings"] | {"rollout_length": job.training.rollout_length}
    if job.steps and "iterations" in changed:
        kept["steps"] = changed["iterations"] * job.training.rows_per_iteration
    return kept
