"""The command line of a job: a preset or a file, the flags over it, and from both one job.

``settings`` has the fields of the chosen algorithm and ``env_kwargs`` those of a family of ours;
tyro reads and lists them with their types. Searches, health limits, RLlib's settings and the
arguments of other environments are name-value pairs of any names, whose values are read as YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, is_dataclass, make_dataclass
from typing import Annotated, Any, TypedDict

import tyro
import yaml

import envs
from algos.settings.training import is_rllib_name
from cluster.commands.command import Command, parse_flags, read_values, split_pairs
from cluster.terminal.startup import show_imports
from envs.factory import make_params
from rungwise.validation import InputError, check_value, get_fields, validate
from tune_jobs.jobs.budget import resolve_iterations
from tune_jobs.jobs.field_docs import get_field_groups, read_field_docs
from tune_jobs.jobs.given_fields import build_parts, merge_fields, resolve_env_id
from tune_jobs.jobs.job import Job, make_job
from tune_jobs.jobs.job_fields import JobFields, to_tuples
from tune_jobs.jobs.job_yaml import JobDumper, list_presets, load_fields, make_plain
from tune_jobs.jobs.rllib_settings import RLlibSettings

DECIDING = ("env", "algo", "steps", "iterations")
"""Fields that decide which flags there are, or what help shows for others."""
PAIRS = ("env_kwargs", "evaluation_env_kwargs", "search", "health")
ALIASES = {"evaluation_episodes": ("--episodes",), "videos": ("--video",)}
"""The same flags as of `rungwise evaluate`."""
SECRETS = ("notify",)
"""Fields whose value in a job file is not shown as the default of their flag."""


def parse_job_command(cls: type[Command], argv: Sequence[str]) -> tuple[Any, Job]:
    """Read the flags of a command and those of its job, which depend on the job.

    Raises:
        InputError: no job is named, or something in it cannot be used.
        SystemExit: help was requested, or a flag is wrong; tyro has printed which.
    """
    command = cls.get_name()
    name = argv[0] if argv and not argv[0].startswith("-") else None
    # The algorithm has settings, the environment arguments: the words that name them come first.
    words = find_job_fields(argv)
    # Settings of ours need no engine; those of RLlib's algorithms are RLlib's.
    with show_imports() if is_rllib_name(words.get("algo", "")) else nullcontext():
        base = _read_base(command, argv, name, words)
        base = merge_fields(base, {n: words[n] for n in DECIDING if n in words})
        flags = make_job_flags(base, name or "the command line")
    rest, pairs = split_pairs(argv[1:] if name else argv, flags.pairs)

    flat = tyro.conf.arg(name="")
    fields = [("command", Annotated[cls, flat]), ("job", Annotated[flags.type, flat])]
    call_type = make_dataclass("Call", fields, frozen=True)
    call_type.__doc__ = cls.__doc__
    prog = f"rungwise {command} {name or '[PRESET or FILE.yaml]'}"
    call = parse_flags(call_type, rest, prog, call_type(cls(), flags.defaults))
    return call.command, make_job(flags.read_fields(call.job, pairs), "the command line")


def _read_base(
    command: str, argv: Sequence[str], name: str | None, words: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields that flags are then applied to: a preset's, a file's, or ``--env``."""
    if name:
        base = load_fields(name)
        if base.get("steps") and base.get("iterations"):
            make_job(base, name)  # refuses a contradiction, which flags would hide
        return base
    if "env" in words:
        from algos.rollouts.env_factory import find_env_spec  # slow, and help does without it

        find_env_spec(resolve_env_id(words["env"]))  # says best what is wrong with a name
        return {"env": words["env"]}
    if set(argv) & {"-h", "--help"}:
        return load_fields("causal")
    raise InputError(
        f"`rungwise {command}` needs a preset ({', '.join(list_presets())}), a job file "
        "ending in .yaml, or --env."
    )


@dataclass(frozen=True)
class JobFlags:
    """The flags of a job, and their values before any flag is read."""

    type: type
    """A TypedDict of the flags: plain values, so that one mistake is reported once, by Job."""
    defaults: dict[str, Any]
    """The values that help shows; pairs are texts."""
    pairs: list[str]
    """Fields that are name-value pairs."""

    def read_fields(
        self, values: Mapping[str, Any], given: Mapping[str, Mapping[str, str]]
    ) -> dict[str, Any]:
        """Return the plain fields of the job from the values of its flags and pairs."""
        fields = dict(values)
        for name in self.pairs:
            fields[name] = read_values(name, values[name] | given.get(name, {}))
        if "env_kwargs" not in self.pairs:
            # Only what differs from the defaults, so that a job's copy shows the choice.
            family = envs.FAMILIES[resolve_env_id(fields["env"]).removeprefix("envs:")]
            defaults = asdict(family.params())
            chosen = fields["env_kwargs"].items()
            fields["env_kwargs"] = {name: v for name, v in chosen if v != defaults[name]}
        return fields


def find_job_fields(argv: Sequence[str]) -> dict[str, Any]:
    """Return the job's own fields among the words, numbers as numbers, before flags have types.

    Raises:
        InputError: a number has the wrong type or is out of bounds.
    """
    fields, given = get_fields(Job), dict[str, Any]()
    for word, following in zip(argv, [*argv[1:], ""], strict=False):
        flag, equals, value = word.partition("=")
        name, text = flag.removeprefix("--").replace("-", "_"), value if equals else following
        if not (flag.startswith("--") and name in fields and text):
            continue
        if fields[name][0] is str:
            given[name] = text
            continue
        with suppress(ValueError):  # no number: the parser of the flags says so
            given[name] = float(text)
            given[name] = int(text)
        # First: a default of another type makes the parser of the flags warn at length.
        if isinstance(value := given.get(name), int | float):
            check_value(name, value, *fields[name])
    return given


def make_job_flags(given: Mapping[str, Any], where: str) -> JobFlags:
    """Return the flags of a job from its plain fields so far; ``where`` is their file."""
    job = JobFields(**build_parts(given, where))
    validate(job)  # first: a default of another type makes the parser of the flags warn at length
    defaults, pairs = make_plain(job), list[str](PAIRS)
    if not job.steps:
        defaults["iterations"] = resolve_iterations(job)
    types: dict[str, Any] = {name: hint for name, (hint, _) in get_fields(Job).items()}
    docs, groups = read_field_docs(Job), get_field_groups(Job)
    if family := envs.FAMILIES.get(job.env.removeprefix("envs:")):
        pairs.remove("env_kwargs")
        types["env_kwargs"] = make_flags_type(family.params)
        defaults["env_kwargs"] = asdict(make_params(family.params, job.env_kwargs))
    if isinstance(job.settings, RLlibSettings):
        from algos.rllib.rllib_algorithms import list_settings  # as slow to import as RLlib

        pairs.append("settings")
        names = ", ".join(sorted(list_settings(job.algo)))
        docs["settings"] = f"AlgorithmConfig's arguments that differ from its defaults: {names}."
    else:
        types["settings"] = make_flags_type(type(job.settings))
        defaults["settings"] = to_tuples(defaults["settings"])
    types |= dict.fromkeys(pairs, dict[str, str])
    defaults |= {name: {k: _format_yaml(v) for k, v in defaults[name].items()} for name in pairs}
    helps = {name: f"[{groups[name]}] {docs[name]}" for name in types}
    return JobFlags(_make_typed_dict("Job", types, helps), defaults, pairs)


def make_flags_type(config: type) -> type:
    """Return a TypedDict of the fields of a configuration, with their docstrings as help."""
    types = {
        name: make_flags_type(hint) if isinstance(hint, type) and is_dataclass(hint) else hint
        for name, (hint, _) in get_fields(config).items()
    }
    return _make_typed_dict(config.__name__, types, read_field_docs(config))


def _make_typed_dict(name: str, types: Mapping[str, Any], helps: Mapping[str, str]) -> type:
    fields: dict[str, Any] = {}
    for field, hint in types.items():
        argument = tyro.conf.arg(
            help=helps.get(field),
            aliases=ALIASES.get(field),
            help_behavior_hint="" if field in SECRETS else None,
        )
        fields[field] = Annotated[hint, argument]
    return TypedDict(name, fields)  # type: ignore[operator]


def _format_yaml(value: object) -> str:
    text = yaml.dump(value, Dumper=JobDumper, default_flow_style=True)
    return text.removesuffix("\n...\n").strip()
