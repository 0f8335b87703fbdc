"""Settings of a trial that is a program of the user: its command, and what its log says."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from rungwise.validation import InputError, NonNegative, Positive, unknown_name_error, validate

GIVEN = ("seed", "trial", "out", "checkpoint")
"""Placeholders of a command that are filled in whatever is searched."""
OWN = GIVEN[1:]
"""Those of them that cannot be searched; a seed can be."""
MASK = "***"
"""In place of the values of environment variables, often keys, where people read a job."""
_NAME = r"\{([A-Za-z_][\w.-]*)\}"
PLACEHOLDER = re.compile(rf"\{{{_NAME}\}}|{_NAME}")
"""A name in braces; in double braces it is text that stays, in single ones."""


@dataclass(frozen=True)
class ProgramSettings:
    """The program that a job's trials are: how to start, continue and follow it."""

    # A program is one process to Ray, whatever it starts itself.
    num_env_runners: ClassVar[int] = 0
    num_learners: ClassVar[int] = 0
    acts_on_gpu: ClassVar[bool] = False
    acting_device: ClassVar[str] = "cpu"

    command: str = ""
    """The program and its arguments, with placeholders: `{name}` for each searched name, `{seed}`,
    `{trial}`, and `{out}` for the trial's own folder."""
    resume: str = ""
    """Arguments that continue it from its files in `{checkpoint}`; empty where it cannot."""
    log: str = ""
    """Which files are its log, as a pattern below its folder or the working directory
    (`logs/*/progress.csv`); empty looks for any log that can be read."""
    progress: str = ""
    """Name in its log of what `budget` counts; empty counts the rows of the log."""
    budget: Annotated[float, NonNegative] = 0.0
    """How far `progress` goes in a whole run; 0 where it is not known."""
    rename: dict[str, str] = field(default_factory=dict[str, str])
    """Names of its log, each with the metric of the catalogue that it stands for."""
    environment: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    """Environment variables that it gets in addition."""
    patience_s: Annotated[float, Positive] = 1800.0
    """Seconds without a first row of a log after which it is ended."""

    def __post_init__(self) -> None:
        validate(self)
        for text in (self.command, self.resume):
            split_command(text)
        for name, value in self.environment.items():
            if not name or "=" in name or "\0" in name + value:
                raise InputError(
                    f"environment.{name} is {value!r}, which no process can be given: a name has "
                    "no equals sign, and neither it nor its value a zero byte."
                )
            if value == MASK:
                raise InputError(
                    f"environment.{name} is {MASK}, as pages show it in place of its value: write "
                    "its value."
                )


def list_placeholders(settings: ProgramSettings) -> set[str]:
    """Return the names in braces in the command and in what continues it."""
    texts = (settings.command, settings.resume, *settings.environment.values())
    return {name for text in texts for _, name in PLACEHOLDER.findall(text) if name}


def check_placeholders(settings: ProgramSettings, searched: Mapping[str, Any]) -> None:
    """Refuse a command that lacks a searched name, or names what is not searched.

    Raises:
        InputError: naming it.
    """
    names = list_placeholders(settings)
    for name in sorted(names - {*searched, *GIVEN}):
        raise unknown_name_error("placeholder", name, [*searched, *GIVEN], "in the command")
    for name in searched:
        if name in OWN:
            raise InputError(
                f"{name} is searched, but {{{name}}} stands for the trial's own: call it otherwise."
            )
        if name not in names:
            raise InputError(
                f"{name} is searched, but the command does not contain {{{name}}}: every trial "
                "would run with the same value."
            )
    if settings.resume and "{checkpoint}" not in settings.resume:
        raise InputError(
            f"resume is {settings.resume!r}, which does not name the folder to continue from: "
            "write {checkpoint} in it."
        )


def split_command(text: str) -> list[str]:
    """Return the words of a command, as a shell reads them.

    Raises:
        InputError: a quotation mark that is not closed.
    """
    if "\0" in text:
        raise InputError(f"The command {text!r} has a zero byte, which no program can be given.")
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(
            f"The command {text!r} cannot be read ({str(error).lower()}): close each quotation "
            "mark, and write a backslash in front of one that is text."
        ) from error


def check_command(command: Sequence[str], env: Mapping[str, str]) -> None:
    """Refuse a command that cannot be started.

    Raises:
        InputError: there is no such program, or it may not be executed.
    """
    if not command:
        raise InputError("There is no command: write it after --, e.g. -- python train.py.")
    name = command[0]
    path = Path(name)
    can_run = _is_executable(path) if path.name != name else _find_on_path(name, env)
    if not can_run:
        reason = "may not be executed" if path.is_file() else "does not exist"
        hint = f" (`python {name}`?)" if path.suffix == ".py" else ""
        raise InputError(f"The command {name!r} {reason}{hint}.")


def _find_on_path(name: str, env: Mapping[str, str]) -> bool:
    folders = env.get("PATH", os.defpath).split(os.pathsep)
    return any(_is_executable(Path(folder, name)) for folder in folders)


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def fill_command(
    settings: ProgramSettings, values: Mapping[str, Any], *, continues: bool = False
) -> list[str]:
    """Return the words of the command with its placeholders filled in.

    Args:
        settings: with the command.
        values: by name, for all placeholders.
        continues: whether the program continues from ``values["checkpoint"]``.
    """
    # Split first: a value with a blank in it stays one word.
    words = split_command(settings.command)
    words += split_command(settings.resume) if continues else []
    return [fill(word, values) for word in words]


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Return a text with its placeholders filled in; numbers as exactly as Python reads them."""

    def replace(match: re.Match[str]) -> str:
        kept, name = match.groups()
        return f"{{{kept}}}" if kept else str(values[name])

    return PLACEHOLDER.sub(replace, text)


def protect_braces(text: str) -> str:
    """Return a text that :func:`fill` turns into ``text``, whatever names in braces it has.

    >>> fill(protect_braces("{lr}"), {})
    '{lr}'
    """
    return re.sub(_NAME, r"{{\1}}", text)


def name_program(command: str) -> str:
    """Return a short name of a command: its script, or its program.

    >>> name_program("python -u examples/train.py --lr {lr}"), name_program("python -m cleanrl.ppo")
    ('train', 'cleanrl.ppo')
    """
    words = split_command(command)
    for before, word in zip(["", *words], words, strict=False):
        if before == "-m":
            return word
        if word.endswith((".py", ".sh")):
            return Path(word).stem
    return Path(words[0]).name if words else "program"
