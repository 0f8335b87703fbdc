"""Base classes of the commands: flags that several commands share."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import tyro

if TYPE_CHECKING:
    from cluster.errors import Answer, Terminal


@dataclass(frozen=True, kw_only=True)
class Command(abc.ABC):
    """A command of ``rungwise``: its fields are its flags, and calling it runs it."""

    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Self:
        """Read the command's flags from the words after its name.

        Raises:
            SystemExit: help was requested, or a flag is wrong; tyro has printed which.
        """
        return tyro.cli(cls, prog=f"rungwise {cls.__name__.lower()}", args=argv)

    @abc.abstractmethod
    def __call__(self, console: Terminal) -> Answer | None:
        """Run the command and print its result.

        Returns:
            The answer that ``--json`` prints; None if the command has printed it already.
        """


@dataclass(frozen=True, kw_only=True)
class EnvironmentCommand(Command):
    """A command that builds an environment."""

    env_kwargs: dict[str, str] = field(default_factory=dict[str, str])
    """Arguments of the environment that replace the job's: `--env-kwargs largest 12`."""

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Self:
        """Read the flags, with environment arguments also in the form `--env-kwargs.largest 12`."""
        from tune_jobs.jobs.cli_flags import split_pairs

        rest, pairs = split_pairs(argv, ["env_kwargs"])
        if pairs:
            flat = (word for pair in pairs["env_kwargs"].items() for word in pair)
            rest += ["--env-kwargs", *flat]
        return super().parse(rest)

    def read_env_kwargs(self) -> dict[str, Any]:
        """Return the environment's arguments as YAML reads them.

        Raises:
            InputError: a value is not YAML.
        """
        from tune_jobs.jobs.cli_flags import read_values

        return read_values("env_kwargs", self.env_kwargs)
