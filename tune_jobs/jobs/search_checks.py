"""Validate a job's search: its fields, points, population and repeats."""

from __future__ import annotations

from typing import Any

from algos.settings.training import TrainingSettings
from rungwise.validation import InputError, check_value, get_fields, unknown_name_error
from tune_jobs.jobs.job_fields import JobFields
from tune_jobs.jobs.program_settings import ProgramSettings, check_placeholders
from tune_jobs.jobs.rllib_settings import RLlibSettings, check_settings
from tune_jobs.jobs.search_space import ENV_PREFIX


def check_search(job: JobFields) -> None:
    """Validate the searched fields and their spaces.

    Raises:
        InputError: a field that does not exist, or a value that it cannot have.
    """
    algo, settings = job.algo, job.settings
    for name, space in job.search.items():
        space.check(name)
    searched = {n: s for n, s in job.search.items() if not n.startswith(ENV_PREFIX)}
    if isinstance(settings, ProgramSettings):
        check_placeholders(settings, job.search)
    elif isinstance(settings, RLlibSettings):
        check_settings(algo, settings, searched)
    else:
        field_types = get_fields(type(settings))
        for name, space in searched.items():
            if name not in field_types:
                raise unknown_name_error(f"setting of {algo} to search", name, field_types)
            for value in space.values:
                check_value(f"search.{name}", value, *field_types[name])


def check_points(job: JobFields) -> None:
    """Validate the settings of the first trials.

    Raises:
        InputError: a field that is not searched, or a value that it cannot have.
    """
    search, points = job.search, job.points
    # Both change or model the values of a point by their place in the space.
    proposed_by = "searcher optuna" if job.searcher == "optuna" else ""
    outside_by = "scheduler pbt" if job.scheduler == "pbt" else proposed_by
    is_training = isinstance(job.settings, TrainingSettings)
    field_types = get_fields(type(job.settings)) if is_training else {}
    kinds: dict[str, Any] = {"int": int, "choice": Any}
    for index, point in enumerate(points):
        for name, value in point.items():
            if name not in search:
                raise unknown_name_error("searched field", name, search, f"in points[{index}]")
            number = kinds.get(search[name].kind, float)
            check_value(f"points[{index}].{name}", value, *field_types.get(name, (number, None)))
            if outside_by and not search[name].contains(value):
                raise InputError(
                    f"points[{index}].{name} is {value!r}, which is not in its search space "
                    f"{{{search[name].kind}: {list(search[name].values)}}}, as {outside_by} "
                    "needs it: widen the space, or change the point."
                )


def check_number_of_trials(job: JobFields, repeats: int) -> None:
    """Validate that the trials hold the points and the repeats, and have something to search.

    Raises:
        InputError: they do not.
    """
    trials, points = job.trials, len(job.points)
    if trials > 1 and not job.search:
        raise InputError(
            f"{trials} trials need something to search, but search is empty: "
            "name a field, such as lr: {loguniform: [1.0e-4, 1.0e-2]}, or set trials: 1."
        )
    if repeats >= trials:
        raise InputError(
            f"{repeats} of the trials are to repeat others, but trials is {trials}: "
            "lower repeats, or raise trials."
        )
    if points > trials - repeats:
        besides = f", {repeats} of which are repeats" if repeats else ""
        raise InputError(f"{points} points need as many trials, but trials is {trials}{besides}.")


def check_population(job: JobFields, repeats: int) -> None:
    """Refuse a population that PBT cannot train.

    PBT changes settings in the middle of training, so none may be searched that the network, the
    rollouts or the environment are built from.

    Raises:
        InputError: saying why.
    """
    settings = job.settings
    if not isinstance(settings, TrainingSettings):
        raise InputError(
            f"scheduler pbt changes settings in the middle of training, which {job.algo} does "
            "not allow: take scheduler asha."
        )
    if job.searcher == "optuna":
        raise InputError(
            "scheduler pbt needs all its trials at once, but searcher optuna proposes them one "
            "by one: take searcher random."
        )
    if repeats:
        raise InputError(
            f"scheduler pbt changes settings in the middle of training, so that none can be "
            f"repeated, but repeats is {repeats}: set repeats to 0."
        )
    if job.trials < 2:
        raise InputError(f"scheduler pbt needs at least 2 trials, but trials is {job.trials}.")
    fixed = {*settings.model_config, *settings.prepared_with, "model", "num_envs", "rollout_length"}
    fixed |= {"temperature_schedule"}  # without one, and at 1, a network has no temperature
    for name in job.search:
        if name.startswith(ENV_PREFIX) or name in fixed or name.startswith("num_"):
            raise InputError(
                f"scheduler pbt cannot change {name} in the middle of training: search it with "
                "scheduler asha, or search other settings, such as lr."
            )
