"""Files that cannot be written: a full or read-only disk, a missing permission, a wrong path."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rungwise.validation import InputError, InputWarning

IN_OUT = "choose another place with --out"
"""The remedy where the output of a command cannot be written."""


@contextmanager
def refuse_unwritable(path: Path, remedy: str = IN_OUT) -> Generator[None]:
    """Refuse a path at which a command cannot write what it was called for.

    Args:
        path: the file or folder that a user has named.
        remedy: what to do; ends the sentence.

    Raises:
        InputError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        sentence = f"{path} cannot be written ({describe_cause(error)}): {remedy}."
        raise InputError(sentence) from error


@contextmanager
def warn_of_unwritable(path: Path, remedy: str) -> Generator[None]:
    """Warn where a file cannot be written that repeats only what has been saved or printed.

    A run that is finished stays so: no such file is worth its result.

    Args:
        path: the file.
        remedy: what makes it be written after all; ends the sentence.
    """
    try:
        yield
    except OSError as error:
        sentence = f"{path} cannot be written ({describe_cause(error)}): {remedy}."
        warnings.warn(sentence, InputWarning, stacklevel=3)


def describe_cause(error: OSError) -> str:
    """Return the cause of an error of the system, without its number and path."""
    return error.strerror or str(error)
