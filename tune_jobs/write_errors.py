"""Files that cannot be written: a full or read-only disk, a missing permission, a wrong path."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from envs.validation import InputError, InputWarning


@contextmanager
def refuse_unwritable(path: Path, flag: str) -> Generator[None]:
    """Refuse a path at which a command cannot write what it was called for.

    Args:
        path: the file or folder that a user has named.
        flag: the flag that names another one.

    Raises:
        InputError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({describe_cause(error)}): choose another place with {flag}."
        ) from error


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
