"""The fields of a job as a user writes them in YAML, JSON, flags or Python: plain values.

Each source gives a dictionary of them. They are checked, merged and built into the parts of a job.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from algos.settings.training import TrainingSettings, is_rllib_name
from envs import FAMILIES
from rungwise.run_log.events import PROGRAM
from rungwise.validation import InputError, get_fields, unknown_name_error
from tune_jobs.jobs.job_fields import JobFields, Settings, get_settings_class, to_tuples
from tune_jobs.jobs.program_settings import ProgramSettings, name_program
from tune_jobs.jobs.rllib_settings import RLlibSettings
from tune_jobs.jobs.search_space import Space

PARTS = ("settings", "env_kwargs", "evaluation_env_kwargs", "search", "health")
"""Fields of a job that hold names and values."""
REMOVED_FIELDS = {
    "packs": (0, "a fraction as gpus_per_trial (0.1) lets the trials of small networks share a GPU")
}
"""Fields of earlier versions that a job may have: the value without effect, and what to do now."""


def resolve_env_id(name: str) -> str:
    """Return the full Gymnasium id of an environment; ours may be named without their module."""
    return f"envs:{name}" if name in FAMILIES else name


def clean_fields(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields that a user gave; refuse a name that no job has."""
    _check_names_are_text(given, where)
    for name, (default, instead) in REMOVED_FIELDS.items():
        if given.get(name, default) != default:
            raise InputError(f"{name} in {where} is {given[name]!r}, but is removed: {instead}.")
    kept = {name: value for name, value in given.items() if name not in REMOVED_FIELDS}
    fields = _fold_program(kept, where)
    _check_known_names(fields, get_fields(JobFields), f"in {where}")
    if "env" not in fields:
        raise InputError(f"{where} must name an environment, such as `env: CartPole-v1`.")
    return {**fields, "env": str(fields["env"])}


def _check_names_are_text(given: Mapping[str, Any], where: str) -> None:
    """Refuse a name that YAML has read as a number or a truth value, such as ``1`` or ``on``."""
    for field, value in given.items():
        parts = cast("list[Any]", value) if isinstance(value, list) else [value]
        for name in (name for part in parts if isinstance(part, Mapping) for name in part):
            if not isinstance(name, str):
                raise InputError(
                    f"A name in {field} of {where} must be text, but it is {name!r}: put it in "
                    "quotes if it is meant."
                )


def _fold_program(given: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the fields of a job with those of its program, if it has one, as its settings."""
    if "command" not in given:
        return given
    if wrong := [name for name in ("env", "algo", "settings") if name in given]:
        raise InputError(
            f"{where} has a command and {wrong[0]}: a program is trained as it is. Remove one."
        )
    names = get_fields(ProgramSettings)
    settings = {name: value for name, value in given.items() if name in names}
    if isinstance(variables := given.get("environment"), Mapping):
        # Only whole numbers as text: of 1.10 YAML keeps 1.1, and of `on` it keeps true.
        whole = {n: str(v) for n, v in variables.items() if type(v) is int}  # type: ignore[misc]
        settings["environment"] = {**variables, **whole}
    others = {name: value for name, value in given.items() if name not in names}
    program = {"env": name_program(str(given["command"])), "algo": PROGRAM}
    return {**others, **program, "settings": settings}


def _check_known_names(given: Mapping[str, Any], valid: Collection[str], where: str) -> None:
    for name in given:
        if name not in valid:
            raise unknown_name_error("field", str(name), valid, where)


def merge_fields(base: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain fields of a job with some replaced, by flags or by a request.

    Settings are replaced one by one. Another environment has its own arguments and score, another
    algorithm its own settings and search, and a budget replaces one in the other unit.
    """
    merged = dict(base)
    env = resolve_env_id(str(fields.get("env", base["env"])))
    if env != resolve_env_id(base["env"]):
        merged |= {"env_kwargs": {}, "evaluation_env_kwargs": {}}
        merged |= {"metric": "", "mode": "", "target": None}
    algo = fields.get("algo", base_algo := base.get("algo", "ppo"))
    if algo != base_algo:
        # Without a search there is one setting to train, until the fields name another.
        merged |= {"settings": {}, "search": {}, "points": [], "trials": 1, "repeats": None}
    # A job with one of RLlib's algorithms may state both.
    if base.get("steps") and (algo != base_algo or not is_rllib_name(str(algo))):
        merged["iterations"] = 0  # as many as the steps hold, whatever is made of the rollouts
    units = {"steps": "iterations", "iterations": "steps"}
    merged |= {other: 0 for unit, other in units.items() if unit in fields}
    if isinstance(settings := fields.get("settings"), Mapping):
        base_settings: Mapping[str, Any] = merged.get("settings") or {}
        fields = {**fields, "settings": {**base_settings, **cast("Mapping[str, Any]", settings)}}
    return {**merged, **fields, "env": env}


def build_parts(given: Mapping[str, Any], where: str = "the job") -> dict[str, Any]:
    """Return the fields of a job with settings, spaces and points in place of plain values.

    Args:
        given: the fields; parts that are built already stay as they are.
        where: the file or other source, for errors.

    Raises:
        InputError: a part of another form, or a name or a value that it cannot have.
    """
    for name in PARTS:
        if not isinstance(given.get(name) or {}, Mapping | Settings):
            raise InputError(
                f"{name} in {where} must hold names and values: {given[name]!r} does not."
            )
    parts, algo = dict(given), str(given.get("algo", "ppo"))
    if str(given["env"]).removeprefix("envs:") in FAMILIES:
        path_fields = ("env_kwargs", "evaluation_env_kwargs", "search")
        parts |= {name: _resolve_paths(given[name]) for name in path_fields if name in given}
    parts["settings"] = _build_settings(algo, given.get("settings") or {}, where)
    if health := given.get("health"):
        # YAML 1.1 reads the word off as false.
        parts["health"] = {n: "off" if limit is False else limit for n, limit in health.items()}
    search = parts.get("search") or {}
    parts["search"] = {name: Space.parse(name, space) for name, space in search.items()}
    points = given.get("points") or []
    if not isinstance(points, list) or not all(isinstance(p, Mapping) for p in points):
        raise InputError(
            f"points in {where} must be a list of settings, such as [{{lr: 0.001}}], but it is "
            f"{points!r}."
        )
    parts["points"] = list(map(to_tuples, points))
    return parts


def _build_settings(algo: str, given: Mapping[str, Any] | Settings, where: str) -> Settings:
    cls = get_settings_class(algo)
    if given == TrainingSettings():  # a job's default, in place of that of its algorithm
        return cls()
    if not isinstance(given, Mapping):
        if type(given) is not cls:
            raise InputError(
                f"settings must be {cls.__name__} for algo {algo!r}, "
                f"but they are {type(given).__name__}."
            )
        return given
    if cls is RLlibSettings:
        return RLlibSettings(dict(given))
    _check_known_names(given, get_fields(cls), f"in settings in {where}")
    return cls(**to_tuples(given))


def _resolve_paths(value: object) -> Any:
    """Make the file names in a value absolute, so that workers in any directory find them.

    As in the environments, a text names a file (or folder) if it has a suffix or a slash.
    """
    if isinstance(value, dict):
        return {name: _resolve_paths(part) for name, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_resolve_paths(part) for part in cast("list[Any]", value)]
    if not isinstance(value, str) or not ("/" in value or Path(value).suffix):
        return value
    path = Path(value).expanduser()
    # Other texts may have a slash or a point, too; what does not exist is left as it is.
    return str(path.absolute()) if path.exists() else value
