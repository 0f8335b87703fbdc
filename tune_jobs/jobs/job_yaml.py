"""Read jobs from YAML and write them: unknown names are errors that suggest the nearest one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from rungwise.formatting import format_values
from rungwise.run_log.events import PROGRAM
from rungwise.validation import InputError, unknown_name_error
from tune_jobs.jobs.budget import DEFAULT_ITERATIONS
from tune_jobs.jobs.given_fields import PARTS, clean_fields
from tune_jobs.jobs.job import Job, make_job
from tune_jobs.jobs.job_fields import JobFields
from tune_jobs.jobs.program_settings import MASK
from tune_jobs.jobs.rllib_settings import RLlibSettings

PRESETS = Path(__file__).with_name("presets")
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


def load_job(name: str | Path) -> Job:
    """Load the job of a preset, given by name, or of a YAML file, given by path.

    Raises:
        InputError: no such preset or file, or a part of it is not valid.
    """
    return make_job(load_fields(name), str(name))


def load_fields(name: str | Path) -> dict[str, Any]:
    """Load the plain fields that a preset or a YAML file gives."""
    path = Path(name) if Path(name).suffix in {".yaml", ".yml"} else find_preset(str(name))
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
    return _parse_fields(text, str(path))


def parse_job(text: str, where: str) -> Job:
    """Parse the job in ``text``.

    Raises:
        InputError: a part of it is not valid; the message names it and what to write instead.
    """
    return make_job(_parse_fields(text, where), where)


def _parse_fields(text: str, where: str) -> dict[str, Any]:
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
    return clean_fields(cast("dict[str, Any]", given), where)


def make_plain(job: JobFields) -> dict[str, Any]:
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
    changed = {name: value for name, value in plain.items() if value != default[name]}
    if job.steps or job.iterations == DEFAULT_ITERATIONS:
        changed.pop("iterations", None)  # resolved from the steps, or the default
    settings = plain["settings"].items()
    changes = {part: plain[part] for part in PARTS}
    # RLlib's defaults are as slow to read as RLlib: all that a job sets differs from them.
    changes["settings"] = {n: v for n, v in settings if v != default["settings"].get(n, ...)}
    changes["job"] = {n: v for n, v in changed.items() if n not in (*PARTS, *SHOWN_ELSEWHERE)}
    return {part: values for part, values in changes.items() if values}


def format_changes(changes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each part: ``settings: lr 0.001, epochs 2``."""
    return [f"{part}: {format_values(values)}" for part, values in changes.items()]
