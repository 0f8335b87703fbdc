"""Run directories: the names of new ones, and what makes a directory one."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path

from envs.validation import InputError

JOB = "job.yaml"
"""The file by which a directory is that of a run."""
NOTIFY = "notify.secret"
"""The file with the URL that messages of a run are sent to; it is copied and shown nowhere."""


def check_is_run(directory: Path) -> None:
    """Refuse a directory that is not that of a run.

    Raises:
        InputError: it has no job.
    """
    if not (directory / JOB).is_file():
        raise InputError(f"{directory} is not a run: it has no {JOB}. Runs are listed in runs/.")


def find_free_directory(env: str, parent: Path = Path("runs")) -> Path:
    """Return the first free path of the form ``runs/<env>-<date>-<number>``."""
    # The name of a program may be any text: it must stay one folder below the parent.
    name = re.sub(r"[^\w.-]+", "-", env.split(":")[-1].rsplit("-v", 1)[0].lower()).strip(".-")
    stem = f"{name or 'run'}-{time.strftime('%Y-%m-%d')}"
    return next(path for i in itertools.count(1) if not (path := parent / f"{stem}-{i}").exists())
