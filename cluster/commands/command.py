"""Base classes of the commands: flags that several commands share."""

from __future__ import annotations

import abc
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tyro

from cluster.errors import PlainConsole
from rungwise.run_directory import check_is_local, find_address
from rungwise.validation import InputError

if TYPE_CHECKING:
    from cluster.errors import Answer, Terminal


@dataclass(frozen=True, kw_only=True)
class Command(abc.ABC):
    """A command of ``rungwise``: its fields are its flags, and calling it runs it."""

    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    @classmethod
    def get_name(cls) -> str:
        """Return the word that calls it: the name of its class, without ``Command`` at the end."""
        return cls.__name__.removesuffix("Command").lower()

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Self:
        """Read the command's flags from the words after its name.

        Raises:
            InputError: a word belongs to no flag.
            SystemExit: help was requested, or a flag is wrong; tyro has printed which.
        """
        return parse_flags(cls, argv, f"rungwise {cls.get_name()}")

    @abc.abstractmethod
    def __call__(self, console: Terminal) -> Answer | None:
        """Run the command and print its result.

        Returns:
            The answer that ``--json`` prints; None if the command has printed it already.
        """


def parse_flags(cls: Any, argv: Sequence[str], prog: str, default: Any = None) -> Any:
    """Read the flags of a dataclass.

    Args:
        cls: the dataclass.
        argv: the words.
        prog: what stands before them on the command line.
        default: values before any flag is read; None takes those of the class.

    Raises:
        InputError: a word that belongs to no flag.
        SystemExit: help was requested, or a value is wrong; tyro has printed which.
    """
    given: dict[str, Any] = {} if default is None else {"default": default}
    parsed, unknown = tyro.cli(cls, prog=prog, args=argv, return_unknown_args=True, **given)
    if unknown:
        raise InputError(_describe_unknown_word(unknown[0], list_flags(vars(parsed)), prog))
    if isinstance(parsed, Command):
        parsed = _bring_runs(parsed)
    for value in vars(parsed if isinstance(parsed, Command) else parsed.command).values():
        if isinstance(value, Path):
            check_is_local(value)
    return parsed


def _bring_runs(command: Command) -> Command:
    """Return the command with local copies of the runs that it names by address.

    Raises:
        InputError: there is no run at an address.
    """

    def bring(path: Any) -> Any:
        if not (isinstance(path, Path) and (address := find_address(path))):
            return path
        from tune_jobs.session.stored_run import bring_run

        directory = bring_run(address)
        PlainConsole(stderr=True).print(f"{address} is in {directory}", soft_wrap=True)
        return directory

    brought = dict[str, Any]()
    for argument in fields(command):
        if "Positional" in str(argument.type):
            value = getattr(command, argument.name)
            paths = tuple(map(bring, value)) if isinstance(value, tuple) else bring(value)
            brought |= {argument.name: paths} if paths != value else {}
    return replace(command, **brought)


def list_flags(values: Mapping[str, Any], prefix: str = "--") -> list[str]:
    """List the flags of named values, some of which are dataclasses or mappings of their own."""
    flags: list[str] = []
    for name, value in values.items():
        flag = prefix + name.replace("_", "-")
        # A command and its job stand side by side, without a prefix of their own.
        inner = prefix if name in ("command", "job") else f"{flag}."
        parts = vars(value) if is_dataclass(value) else value
        flags += list_flags(parts, inner) if parts and isinstance(parts, dict) else [flag]
    return flags


def _describe_unknown_word(word: str, flags: Sequence[str], prog: str) -> str:
    """Describe a word that belongs to no flag, with the nearest flag where it looks like one."""
    spelt, _, value = word.partition("=")
    spelt = spelt.replace("_", "-")
    group, _, name = spelt.rpartition(".")
    # Its last part counts, among the flags of its group first: `lr` means `--settings.lr`.
    by_name = {flag.rpartition(".")[2].lstrip("-"): flag for flag in reversed(flags)}
    in_group = {n: f"{group}.{n}" for n in by_name if f"{group}.{n}" in flags}
    near = [
        flags_of[close]
        for flags_of in (in_group, by_name)
        for close in difflib.get_close_matches(name.lstrip("-"), flags_of, n=1, cutoff=0.7)
    ]
    if near:
        hint = f"did you mean `{near[0]} {value or 'VALUE'}`?"
    elif any(flag.startswith(f"{spelt}.") for flag in flags):
        hint = f"write `{spelt}.NAME VALUE`."
    else:
        hint = f"`{prog} --help` lists its flags."
    if word.startswith("-"):
        return f"`{prog}` has no flag {spelt}: {hint}"
    return f"Unexpected {word!r} after `{prog}`: {hint}"


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


def read_values(field: str, pairs: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a field's name-value pairs, read as YAML.

    Raises:
        InputError: a value is not YAML.
    """
    import yaml

    from tune_jobs.jobs.job_yaml import JobLoader

    read: dict[str, Any] = {}
    for name, value in pairs.items():
        try:
            read[name] = yaml.load(value, JobLoader)
        except (yaml.YAMLError, RecursionError) as error:
            flag = f"--{field.replace('_', '-')} {name} {value!r}"
            raise InputError(f"{flag} is not YAML: put it in quotes.") from error
    return read


def gather_pairs(argv: Sequence[str], field: str) -> list[str]:
    """Return the words with all pairs of a field after one flag, as tyro reads them."""
    rest, pairs = split_pairs(argv, [field])
    flat = [word for pair in pairs.get(field, {}).items() for word in pair]
    return [*rest, *([f"--{field.replace('_', '-')}", *flat] if flat else [])]


@dataclass(frozen=True, kw_only=True)
class EnvironmentCommand(Command):
    """A command that builds an environment."""

    env_kwargs: dict[str, str] = field(default_factory=dict[str, str])
    """Arguments of the environment that replace the job's: `--env-kwargs largest 12`."""

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Self:
        """Read the flags, with environment arguments also in the form `--env-kwargs.largest 12`."""
        return super().parse(gather_pairs(argv, "env_kwargs"))

    def read_env_kwargs(self) -> dict[str, Any]:
        """Return the environment's arguments as YAML reads them.

        Raises:
            InputError: a value is not YAML.
        """
        return read_values("env_kwargs", self.env_kwargs)


def find_env_module(path: Path, *, required: bool) -> None:
    """Find the module of a run's environment, also from another folder, and say so on stderr.

    Raises:
        InputError: it is required, but is found nowhere.
    """
    from tune_jobs.env_module import restore_module

    if sentence := restore_module(path, required=required):
        PlainConsole(stderr=True).print(sentence, highlight=False, soft_wrap=True)


def choose_checkpoint(path: Path, *, plays: bool = False) -> Path:
    """Return the checkpoint that a path names; print on stderr which one, if it names several.

    Args:
        path: a checkpoint, or the directory of a run or a trial, whose best checkpoint is taken.
        plays: whether its environment is needed, too.

    Raises:
        InputError: a run or a trial without a checkpoint, a path that is none of these, or an
            environment that is not found.
    """
    from algos.checkpoint import check_is_checkpoint
    from tune_jobs.evaluation.best_checkpoint import find_checkpoint

    checkpoint = find_checkpoint(path)
    if checkpoint != path:
        console = PlainConsole(stderr=True)
        console.print(f"Best checkpoint: {checkpoint}", highlight=False, soft_wrap=True)
    check_is_checkpoint(checkpoint)
    find_env_module(path, required=plays)
    return checkpoint
