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


def read_number_of_trials(directory: Path, at_start: int) -> int:
    """Return how many trials a run has, which may have been extended since its start."""
    try:
        text = (directory / JOB).read_text(errors="replace")
    except OSError:
        return at_start
    # Not read as a job, which takes long: lists of runs ask for each of them.
    given = dict(re.findall(r"^(searcher|trials): (\w+)$", text, re.MULTILINE))
    number = given.get("trials", "")
    # A grid has at most the trials of its job, and cannot be extended.
    return int(number) if number.isdecimal() and given.get("searcher") != "grid" else at_start


def find_free_directory(env: str, parent: Path = Path("runs")) -> Path:
    """Return the first free path of the form ``runs/<env>-<date>-<number>``."""
    # The name of a program may be any text: it must stay one folder below the parent.
    name = re.sub(r"[^\w.-]+", "-", env.split(":")[-1].rsplit("-v", 1)[0].lower()).strip(".-")
    stem = f"{name or 'run'}-{time.strftime('%Y-%m-%d')}"
    return next(path for i in itertools.count(1) if not (path := parent / f"{stem}-{i}").exists())
