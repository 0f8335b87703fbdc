"""Imports of what an extra installs, when they are first used.

``pip install rungwise`` installs only the log tools; the extra ``train`` brings the rest.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rungwise.validation import InputError

TRAIN = "train"
"""The extra for everything but judging logs."""
TRAIN_PACKAGES = frozenset(
    {
        "crc32c",
        "fastapi",
        "gymnasium",
        "networkx",
        "nicegui",
        "prometheus_client",
        "pyarrow",
        "pydantic",
        "ray",
        "safetensors",
        "scipy",
        "sklearn",
        "starlette",
        "tensorboardX",
        "threadpoolctl",
        "torch",
        "uvicorn",
    }
)
"""Top-level modules that it installs, and that ours import."""


def import_extra(name: str, extra: str) -> Any:
    """Import a module that the extra ``rungwise[extra]`` installs.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise missing_package_error("This", name.partition(".")[0], extra) from error


def missing_package_error(what: str, package: str, extra: str) -> InputError:
    """Return an error for a package that an extra installs, and that ``what`` needs."""
    return InputError(
        f"{what} needs {package}, which is not installed: pip install 'rungwise[{extra}]'."
    )


def is_installed(name: str) -> bool:
    """Return whether a module can be imported; import it if so."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def find_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those of these packages that are installed."""
    versions: dict[str, str] = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
