"""Disk space of runs: what they take, the check before a start, the error when the disk is full."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from rungwise.validation import InputError

NEEDED_BYTES = 200 * 2**20
"""Free space below which a run is not started: a disk that fills up damages Tune's files."""
FULL_BYTES = 2**20
"""Free space below which a failure is attributed to the disk."""


class DiskFullError(Exception):
    """A full disk ended a run; nothing that was saved is lost."""


def measure_size(directory: Path) -> int:
    """Return the size of all files below a directory, in bytes."""
    size = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):  # deleted meanwhile
                size += Path(folder, name).lstat().st_size
    return size


def check_disk_space(directory: Path) -> None:
    """Refuse to train where the disk is nearly full.

    Raises:
        InputError: less than :data:`NEEDED_BYTES` are free.
    """
    free = shutil.disk_usage(directory).free
    if free < NEEDED_BYTES:
        raise InputError(
            f"Only {free / 2**20:.0f} MiB are free at {directory}, and a run needs "
            f"{NEEDED_BYTES / 2**20:.0f}; free some space or choose another directory with --out."
        )


@contextmanager
def report_full_disk(directory: Path) -> Generator[None]:
    """Turn any error that a full disk caused into :class:`DiskFullError`.

    Raises:
        DiskFullError: a write failed because the disk is full.
    """
    try:
        yield
    except Exception as error:
        # Tune writes its own files there, too, and wraps the error in many others: search the
        # chain of causes for the system's error number, and look at the disk itself.
        cause: BaseException | None = error
        while cause is not None and getattr(cause, "errno", None) != errno.ENOSPC:
            cause = cause.__cause__ or cause.__context__
        if cause is None and shutil.disk_usage(directory).free >= FULL_BYTES:
            raise
        resume = f"rungwise resume {shlex.quote(str(directory))}"
        raise DiskFullError(
            f"The disk of {directory} is full. Nothing that was saved is lost: free some space, "
            f"then `{resume}` continues from the last checkpoints."
        ) from error
