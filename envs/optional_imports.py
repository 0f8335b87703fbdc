"""Import of the optional libraries that an extra installs, when they are first used."""

from __future__ import annotations

import importlib
from typing import Any

from envs.validation import InputError


def import_extra(name: str, extra: str) -> Any:
    """Import a module that the extra ``rungwise[extra]`` installs.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise InputError(
            f"This needs {package}, which is not installed: pip install 'rungwise[{extra}]'."
        ) from error
