"""Read jobs from YAML and write them: unknown names are errors that suggest the nearest one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from algos.settings.training import is_rllib_name
from envs import FAMILIES
from rungwise.formatting import format_values
from rungwise.run_log.events import PROGRAM
from rungwise.validation import InputError, get_fields, unknown_name_error
from tune_jobs.jobs.budget import DEFAULT_ITERATIONS
from tune_jobs.jobs.job import Job, resolve_env_id
from tune_jobs.jobs.job_fields import get_settings_class, to_tuples
from tune_jobs.jobs.program_settings import MASK, ProgramSettings, name_program
from tune_jobs.jobs.rllib_settings import RLlibSettings
from tune_jobs.jobs.search_space import Space

PRESETS = Path(__file__).with_name("presets")
PARTS = ("settings", "env_kwargs", "evaluation_env_kwargs", "search", "health")
"""Fields of a job that hold names and values; the other fields are the part ``job``."""
REMOVED_FIELDS = {
    "packs": (0, "a fraction as gpus_per_trial (0.1) lets the trials of small networks share a GPU")
}
"""Fields of earlier versions that a job may have: the value without effect, and what to do now."""
SHOWN_ELSEWHERE = ("env", "algo", "metric", "mode", "trials", "scheduler", "points")
"""Fields that every display of a job names, or that are too long for one."""


class JobLoader(yaml.SafeLoader):
    """The YAML reader of job files: ``1e-4`` is a number, as in YAML 1.2."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that is given twice, of which YAML would silently take the last."""
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            line, name = key.start_mark.line + 1, (key.tag, str(key.value))
            if name in lines and isinstance(key, yaml.ScalarNode):
                raise InputError(
                    f"{self.name}, line {line}: {key.value!r} is given twice, first in line "
                    f"{lines[name]}. Remove one of them."
                )
            lines[name] = line
        return super().construct_mapping(node, deep)


class JobDumper(yaml.SafeDumper):
    """The YAML writer of job files: the text ``1e-4`` is quoted."""


for _yaml in (JobLoader, JobDumper):
    number = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    _yaml.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))


def list_presets() -> list[str]:
    """List the names of the presets."""
    return sorted(path.stem for path in PRESETS.glob("*/*.yaml"))


def find_preset(name: str) -> Path:
    """Return the file of a preset.

    Raises:
        InputError: there is no such preset.
    """
    for path in PRESETS.glob("*/*.yaml"):
        if path.stem == name:
            return path
    raise unknown_name_error("preset", name, list_presets(), "(a job file ends in .yaml)")


def load_job(name: str) -> Job:
    """Load the job of a preset, given by name, or of a YAML file, given by path.

    Raises:
        InputError: no such preset or file, or a part of it is not valid.
    """
    is_file = Path(name).suffix in {".yaml", ".yml"}
    return read_job(Path(name) if is_file else find_preset(name))


def read_job(path: Path) -> Job:
    """Read the job in a YAML file.

    Raises:
        InputError: no such file, or a part of it is not valid.
    """
    try:
        # -sig: editors on Windows put a byte order mark first, which YAML would take for text.
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"The job file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"The job file {path} is not UTF-8 text: line {line} has the byte "
            f"0x{error.object[error.start]:02x}. Save it as UTF-8."
        ) from error
    return parse_job(text, str(path))


def parse_job(text: str, where: str) -> Job:
    """Parse the job in ``text``.

    Raises:
        InputError: a part of it is not valid; the message names it and what to write instead.
    """
    try:
        loader = JobLoader(text)
        loader.name = where
        given = loader.get_single_data()
    except (yaml.YAMLError, ValueError) as error:  # a date or a number that Python does not read
        raise InputError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise InputError(
            f"{where} is nested too deeply to be a job: check its brackets."
        ) from error
    if not isinstance(given, dict):
        raise InputError(f"{where} must hold the fields of a job, such as `env: CartPole-v1`.")
    return make_job(given, where)


def make_job(given: Mapping[str, Any], where: str = "the job") -> Job:
    """Make a job from plain fields; validate them, and set the others to their defaults."""
    _check_names_are_text(given, where)
    given = _fold_program(_drop_removed(given, where), where)
    _check_known_names(given, get_fields(Job), f"in {where}")
    if "env" not in given:
        raise InputError(f"{where} must name an environment, such as `env: CartPole-v1`.")
    for name in ("env_kwargs", "evaluation_env_kwargs", "settings", "search", "health"):
        if not isinstance(given.get(name) or {}, Mapping):
            raise InputError(
                f"{name} in {where} must hold names and values: {given[name]!r} does not."
            )
    values = dict(given)
    values["env"] = resolve_env_id(str(given["env"]))
    if values["env"].removeprefix("envs:") in FAMILIES:
        ours = ("env_kwargs", "evaluation_env_kwargs", "search")
        values |= {name: resolve_paths(given[name]) for name in ours if name in given}
    settings = get_settings_class(str(values.get("algo", "ppo")))
    chosen = values.get("settings") or {}
    chosen = {"values": dict(chosen)} if settings is RLlibSettings else chosen
    values["settings"] = _dataclass(settings, chosen, f"settings in {where}")
    if isinstance(health := given.get("health"), Mapping):
        limits = cast("Mapping[str, Any]", health).items()
        # YAML 1.1 reads the word off as false.
        values["health"] = {n: "off" if limit is False else limit for n, limit in limits}
    search = values.get("search") or {}
    values["search"] = {name: Space.parse(name, space) for name, space in search.items()}
    values["points"] = list(map(to_tuples, _read_points(values.get("points") or [], where)))
    return Job(**values)


def _drop_removed(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields without those of earlier versions that had no effect."""
    for name, (default, instead) in REMOVED_FIELDS.items():
        if given.get(name, default) != default:
            raise InputError(f"{name} in {where} is {given[name]!r}, but is removed: {instead}.")
    return {name: value for name, value in given.items() if name not in REMOVED_FIELDS}


def _fold_program(given: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the fields of a job with those of its program, if it has one, as its settings."""
    if "command" not in given:
        return given
    if wrong := [name for name in ("env", "algo", "settings") if name in given]:
        raise InputError(
            f"{where} has a command and {wrong[0]}: a program is trained as it is. Remove one."
        )
    known = get_fields(ProgramSettings)
    return {
        **{name: value for name, value in given.items() if name not in known},
        "env": name_program(str(given["command"])),
        "algo": PROGRAM,
        "settings": {name: value for name, value in given.items() if name in known}
        | _read_environment(given),
    }


def _read_environment(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the environment variables of a program, where it has any, with numbers as text."""
    variables = given.get("environment")
    if not isinstance(variables, Mapping):
        return {}
    # Only whole numbers: of 1.10 YAML keeps 1.1, and of `on` it keeps true.
    whole = {n: str(v) for n, v in variables.items() if type(v) is int}  # type: ignore[misc]
    return {"environment": {**variables, **whole}}


def replace_fields(job: Job, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain fields of a job with some replaced, by flags or by a request.

    Settings are replaced one by one. Another environment has its own arguments and score, another
    algorithm its own settings and search, and a budget replaces one in the other unit.
    """
    plain = make_plain(job)
    env = resolve_env_id(str(fields.get("env", job.env)))
    if env != job.env:
        plain |= {"env_kwargs": {}, "evaluation_env_kwargs": {}}
        plain |= {"metric": "", "mode": "", "target": None}
    algo = fields.get("algo", job.algo)
    if algo != job.algo:
        # Without a search there is one setting to train, until the fields name another.
        alone = {"search": {}, "points": [], "trials": 1, "repeats": None}
        plain |= {"settings": {}, **alone}
    # Of RLlib's algorithms a job may state both.
    if job.steps and (algo != job.algo or not is_rllib_name(str(algo))):
        plain["iterations"] = 0  # as many as the steps hold, whatever is made of the rollouts
    for unit, other in (("steps", "iterations"), ("iterations", "steps")):
        if unit in fields:
            plain[other] = 0
    settings = fields.get("settings", {})
    if isinstance(settings, Mapping):
        settings = plain["settings"] | dict(cast("Mapping[str, Any]", settings))
    return {**plain, **fields, "env": env, "settings": settings}


def make_plain(job: Job) -> dict[str, Any]:
    """Return the fields of a job as YAML holds them, with every default."""
    plain = dataclasses.asdict(job)
    if isinstance(job.settings, RLlibSettings):
        plain["settings"] = job.settings.values
    plain["search"] = {name: {space.kind: space.values} for name, space in job.search.items()}
    return {name: _to_lists(value) for name, value in plain.items()}


def _to_lists(value: object) -> Any:
    """Return a value with its tuples as lists, for YAML has no tuples."""
    if isinstance(value, dict):
        return {name: _to_lists(part) for name, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_to_lists(part) for part in cast("Sequence[Any]", value)]
    return value


def dump_job(job: Job) -> str:
    """Write a job as YAML with every default; :func:`parse_job` reads it back."""
    # With defaults, so that a run repeated by a later version has the settings of today.
    return dump_plain(make_plain(job))


def dump_plain(plain: Mapping[str, Any]) -> str:
    """Write the plain fields of a job as YAML."""
    return yaml.dump(plain, Dumper=JobDumper, sort_keys=False, width=100)


def resolve_paths(value: object) -> Any:
    """Make the file names in a value absolute, so that workers in any directory find them.

    As in the environments, a text names a file (or folder) if it has a suffix or a slash.
    """
    if isinstance(value, dict):
        return {name: resolve_paths(part) for name, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [resolve_paths(part) for part in cast("list[Any]", value)]
    if not isinstance(value, str) or not ("/" in value or Path(value).suffix):
        return value
    path = Path(value).expanduser()
    # Other texts may have a slash or a point, too; what does not exist is left as it is.
    return str(path.absolute()) if path.exists() else value


def _dataclass(cls: type, given: object, where: str) -> Any:
    if not isinstance(given, Mapping):
        raise InputError(f"{where} must hold fields, but it is {given!r}.")
    known = get_fields(cls)
    _check_known_names(given, known, f"in {where}")
    return cls(**to_tuples(given))


def _read_points(given: object, where: str) -> list[Mapping[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(p, Mapping) for p in given):
        raise InputError(
            f"points in {where} must be a list of settings, such as [{{lr: 0.001}}], but it is "
            f"{given!r}."
        )
    return cast("list[Mapping[str, Any]]", given)


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


def _check_known_names(given: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise unknown_name_error("field", str(name), known, where)


def mask_environment(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain fields of a job without its secrets: of variables only the names."""
    settings: dict[str, Any] = plain.get("settings") or {}
    plain = {**plain, "notify": MASK} if plain.get("notify") else plain
    if plain.get("algo") != PROGRAM or not settings.get("environment"):
        return dict(plain)
    masked = dict.fromkeys(settings["environment"], MASK)
    return {**plain, "settings": settings | {"environment": masked}}


def mask_job_text(job_yaml: str) -> str:
    """Return the text of a job for people, of a program's environment variables only the names.

    Args:
        job_yaml: of :func:`dump_job`; a text that is no job stays as it is.
    """
    try:
        plain = yaml.load(job_yaml, JobLoader)
        masked = mask_environment(plain)
    except (yaml.YAMLError, ValueError, AttributeError, TypeError, RecursionError):
        return job_yaml
    return job_yaml if masked == plain else dump_plain(masked)


def get_file_mode(job_yaml: str) -> int:
    """Return the permissions of a file with a job: for its owner only where it has secrets."""
    return 0o666 if mask_job_text(job_yaml) == job_yaml else 0o600


def list_changes(job: Job) -> dict[str, dict[str, Any]]:
    """Return what differs from the defaults by part of the job; parts without any are left out.

    The arguments of the environment are all listed: a job holds only those that were given.
    """
    plain = mask_environment(make_plain(job))
    default = make_plain(Job(env=job.env, algo=job.algo))
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
