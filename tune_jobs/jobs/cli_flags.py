"""A job as command-line flags: its fields, with the types of its algorithm and environment.

``settings`` has the class of the chosen algorithm, ``env_kwargs`` the parameters of the family
where the environment is ours. Searches, health limits and other environments' arguments are
name-value pairs whose values are read as YAML.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
import yaml

import envs
from envs.factory import make_params
from envs.field_docs import get_field_groups, read_field_docs
from envs.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import JobDumper, JobLoader, make_job
from tune_jobs.jobs.replaced_fields import get_dropped_budget, list_replaceable_fields
from tune_jobs.jobs.rllib_settings import RLlibSettings
from tune_jobs.jobs.settings_class import get_settings_class

PAIRS = ("env_kwargs", "evaluation_env_kwargs", "search", "health")


@dataclass(frozen=True)
class JobFlags:
    """The dataclass of a job's flags and its values before any flag is read."""

    type: type
    default: Any


def make_job_flags(job: Job, *, env: str | None = None, algo: str | None = None) -> JobFlags:
    """Return the flags of ``job``, changed to another environment or algorithm if one is given."""
    plain = list_replaceable_fields(job, env=env, algo=algo)
    job = make_job(plain)
    family = envs.FAMILIES.get(job.env.removeprefix("envs:"))
    types = typing.get_type_hints(Job, include_extras=True)
    values = {f.name: getattr(job, f.name) for f in dataclasses.fields(job)}
    types |= dict.fromkeys(PAIRS, dict[str, str])
    values |= {name: {k: _format_yaml(v) for k, v in plain[name].items()} for name in PAIRS}
    values["iterations"] = plain["iterations"]
    # The same flags as of `rungwise evaluate`.
    alias = tyro.conf.arg(aliases=("--episodes",))
    types["evaluation_episodes"] = Annotated[int | None, alias]
    types["videos"] = Annotated[int, tyro.conf.arg(aliases=("--video",))]
    types["settings"] = _without_validation(get_settings_class(job.algo))
    about = {f.name: getattr(job.settings, f.name) for f in dataclasses.fields(job.settings)}
    values["settings"] = types["settings"](**about)
    if isinstance(job.settings, RLlibSettings):
        from algos.rllib_algorithms import list_settings  # as slow to import as RLlib

        known = ", ".join(sorted(list_settings(job.algo)))
        help_text = f"Arguments of RLlib's AlgorithmConfig that differ from its defaults: {known}."
        types["settings"] = Annotated[dict[str, str], tyro.conf.arg(help=help_text)]
        values["settings"] = {k: _format_yaml(v) for k, v in plain["settings"].items()}
    if family:
        types["env_kwargs"] = _without_validation(family.params)
        values["env_kwargs"] = make_params(types["env_kwargs"], plain["env_kwargs"])
    # The class takes over names and docstrings of the fields and validates nothing, so that a wrong
    # value is reported once, by Job.
    cls = dataclasses.make_dataclass("Job", [(name, types[name]) for name in values], frozen=True)
    cls.__doc__ = _field_docs(Job)
    return JobFlags(cls, cls(**values))


def _without_validation(cls: type) -> type:
    """Return a class of the same fields that accepts any value.

    The parser of the flags would report an error of a constructor in its own words; the job made
    from the flags is validated, and so is its environment.
    """
    return type(cls.__name__, (cls,), {"__post_init__": lambda self: None, "__doc__": cls.__doc__})


def with_budget(flags: JobFlags, argv: Sequence[str]) -> JobFlags:
    """Drop the job's own budget where an argument gives one in the other unit."""
    given = {word.partition("=")[0].removeprefix("--") for word in argv if word.startswith("--")}
    changed = get_dropped_budget(given)
    return dataclasses.replace(flags, default=dataclasses.replace(flags.default, **changed))


def with_pairs(flags: JobFlags, argv: Sequence[str]) -> tuple[JobFlags, list[str]]:
    """Apply the name-value pairs among the arguments to the flags.

    Returns:
        The changed flags and the remaining arguments.

    Raises:
        InputError: a name without a value.
    """
    types = typing.get_type_hints(flags.type, include_extras=True)
    names = [n for n in (*PAIRS, "settings") if not dataclasses.is_dataclass(types[n])]
    rest, pairs = split_pairs(argv, names)
    changed = {name: getattr(flags.default, name) | given for name, given in pairs.items()}
    return dataclasses.replace(flags, default=dataclasses.replace(flags.default, **changed)), rest


def split_pairs(
    argv: Sequence[str], fields: Sequence[str]
) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Separate the name-value pairs of these fields from the other arguments.

    Both ``--env-kwargs.size 3`` and ``--env-kwargs size 3 goal left`` are read: fields with known
    names are written the first way, so those that take any names may be, too.

    Returns:
        The other arguments, and the pairs by field.

    Raises:
        InputError: a name without a value.
    """
    flags = {f"--{name.replace('_', '-')}": name for name in fields}
    rest, kept, pairs = list(argv), list[str](), dict[str, dict[str, str]]()
    while rest:
        given = rest.pop(0)
        spelt, equals, value = given.partition("=")
        flag, _, name = spelt.replace("_", "-").partition(".")
        if flag not in flags or (equals and not name):
            kept.append(given)
            continue
        if name:
            words = [name.replace("-", "_"), *([value] if equals else rest[:1])]
            rest = rest if equals else rest[1:]
        else:
            count = next((i for i, word in enumerate(rest) if word.startswith("--")), len(rest))
            words, rest = rest[:count], rest[count:]
        if not words or len(words) % 2:
            raise InputError(f"{flag} needs names and values, but it got {' '.join(words)!r}.")
        pairs.setdefault(flags[flag], {}).update(zip(words[::2], words[1::2], strict=True))
    return kept, pairs


def make_job_from_flags(flags: Any) -> Job:
    """Return the job that these flags describe.

    Raises:
        InputError: values that cannot be used.
    """
    plain = {f.name: getattr(flags, f.name) for f in dataclasses.fields(flags)}
    if isinstance(plain["settings"], Mapping):
        plain["settings"] = read_values("settings", plain["settings"])
    else:
        plain["settings"] = dataclasses.asdict(plain["settings"])
    for name in PAIRS:
        if dataclasses.is_dataclass(plain[name]):
            plain[name] = _get_changed_fields(plain[name])
        else:
            plain[name] = read_values(name, plain[name])
    return make_job(plain, "the command line")


def read_values(field: str, pairs: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a field's name-value pairs, read as YAML.

    Raises:
        InputError: a value is not YAML.
    """
    read: dict[str, Any] = {}
    for name, value in pairs.items():
        try:
            read[name] = yaml.load(value, JobLoader)
        except (yaml.YAMLError, RecursionError) as error:
            flag = f"--{field.replace('_', '-')} {name} {value!r}"
            raise InputError(f"{flag} is not YAML: put it in quotes.") from error
    return read


def _get_changed_fields(params: Any) -> dict[str, Any]:
    """Return the fields that differ from their defaults, so that a job's copy shows the choice."""
    default, chosen = dataclasses.asdict(type(params)()), dataclasses.asdict(params)
    return {name: value for name, value in chosen.items() if value != default[name]}


def _format_yaml(value: Any) -> str:
    return (
        yaml.dump(value, Dumper=JobDumper, default_flow_style=True).removesuffix("\n...\n").strip()
    )


def _field_docs(cls: type) -> str:
    """Return the docstrings under the fields of a class as a Google-style Attributes section.

    tyro reads the help of each flag from it. The group of a field stands in front of its help.
    """
    docs, groups = read_field_docs(cls), get_field_groups(cls)
    lines = [f"    {name}: [{groups[name]}] {text}" for name, text in docs.items()]
    return "\n".join(["A job.", "", "Attributes:", *lines])
