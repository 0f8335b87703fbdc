"""What a job's search may look like: its fields, points, population and repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from algos.config import TrainingSettings
from envs.validation import InputError, check_value, get_fields, unknown_name_error
from tune_jobs.jobs.program_settings import ProgramSettings, check_placeholders
from tune_jobs.jobs.rllib_settings import RLlibSettings, check_settings
from tune_jobs.jobs.search_space import ENV_PREFIX, Space
from tune_jobs.jobs.settings_class import Settings


def check_search(algo: str, settings: Settings, search: Mapping[str, Space]) -> None:
    """Validate the searched fields and their spaces.

    Raises:
        InputError: a field that does not exist, or a value that it cannot have.
    """
    known = get_fields(type(settings))
    if isinstance(settings, ProgramSettings):
        check_placeholders(settings, search)
    if isinstance(settings, RLlibSettings):
        searched = {n: s for n, s in search.items() if not n.startswith(ENV_PREFIX)}
        check_settings(algo, settings, searched)
    for name, space in search.items():
        space.check(name)
        if name.startswith(ENV_PREFIX) or not isinstance(settings, TrainingSettings):
            continue
        if name not in known:
            kind = f"setting of {algo} to search"
            raise unknown_name_error(kind, name, known)
        hint, bounds = known[name]
        for value in space.values:
            check_value(f"search.{name}", value, hint, bounds)


def check_points(
    points: Sequence[Mapping[str, Any]],
    settings: Settings,
    search: Mapping[str, Space],
    *,
    outside_by: str,
) -> None:
    """Validate the settings of the first trials.

    Args:
        points: the settings.
        settings: those of the job.
        search: the searched fields.
        outside_by: what cannot take a value outside of its search space, such as `searcher optuna`;
            empty for nothing.

    Raises:
        InputError: a field that is not searched, or a value that it cannot have.
    """
    known = get_fields(type(settings))
    for place, point in enumerate(points):
        for name, value in point.items():
            if name not in search:
                raise unknown_name_error("searched field", name, search, f"in points[{place}]")
            if name in known:
                check_value(f"points[{place}].{name}", value, *known[name])
            if outside_by and not search[name].contains(value):
                raise InputError(
                    f"points[{place}].{name} is {value!r}, which is not in its search space "
                    f"{{{search[name].kind}: {list(search[name].values)}}}, as {outside_by} "
                    "needs it: widen the space, or change the point."
                )


def check_number_of_trials(
    trials: int, repeats: int, points: int, search: Mapping[str, Space]
) -> None:
    """Validate that the trials hold the points and the repeats, and have something to search.

    Raises:
        InputError: they do not.
    """
    if trials > 1 and not search:
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


def check_population(
    algo: str,
    settings: Settings,
    search: Mapping[str, Space],
    *,
    searcher: str,
    trials: int,
    repeats: int,
) -> None:
    """Refuse a population that PBT cannot train.

    PBT changes settings in the middle of training, so none may be searched that the network, the
    rollouts or the environment are built from.

    Raises:
        InputError: saying why.
    """
    if not isinstance(settings, TrainingSettings):
        raise InputError(
            f"scheduler pbt changes settings in the middle of training, which {algo} does "
            "not allow: take scheduler asha."
        )
    if searcher == "optuna":
        raise InputError(
            "scheduler pbt needs all its trials at once, but searcher optuna proposes them one "
            "by one: take searcher random."
        )
    if repeats:
        raise InputError(
            f"scheduler pbt changes settings in the middle of training, so that none can be "
            f"repeated, but repeats is {repeats}: set repeats to 0."
        )
    if trials < 2:
        raise InputError(f"scheduler pbt needs at least 2 trials, but trials is {trials}.")
    fixed = {*settings.model_config, "model", "num_envs", "rollout_length"}
    for name in search:
        if name.startswith(ENV_PREFIX) or name in fixed or name.startswith("num_"):
            raise InputError(
                f"scheduler pbt cannot change {name} in the middle of training: search it with "
                "scheduler asha, or search other settings, such as lr."
            )
