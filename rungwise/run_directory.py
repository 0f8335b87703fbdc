"""Run directories: the names of new ones, and what makes a directory one."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path

from rungwise.validation import InputError

JOB = "job.yaml"
"""The file by which a directory is that of a run."""
LOG = "events.jsonl"
"""Its event log."""
COPY = "best_"
"""Begins the name of the folder of a checkpoint that is kept; its iteration follows."""
NOTIFY = "notify.secret"
"""The file with the URL that messages of a run are sent to; it is copied and shown nowhere."""


def check_is_run(directory: Path) -> None:
    """Refuse a directory that is not that of a run.

    Raises:
        InputError: it has no job.
    """
    if not (directory / JOB).is_file():
        check_is_local(directory)
        why = f"it has no {JOB}" if directory.is_dir() else "it is no directory"
        raise InputError(f"{directory} is not a run: {why}. Runs are listed in runs/.")


def find_address(path: Path) -> str:
    """Return the address of an object storage that a path was made of; empty for a local path.

    >>> find_address(Path("s3://bucket/runs/1"))
    's3://bucket/runs/1'
    """
    parts = re.fullmatch(r"([A-Za-z][\w+.-]+):/(.*)", str(path))
    if not parts or path.exists():
        return ""
    return f"{parts[1]}:{'///' if parts[1] == 'file' else '//'}{parts[2]}"


def check_is_local(path: Path) -> None:
    """Refuse the address of an object storage, which as a path is a new folder of this one.

    Raises:
        InputError: it is one, as ``s3:/bucket/runs/1``.
    """
    if address := find_address(path):
        folder = address.rpartition("/")[0]
        bucket = address if folder.endswith("/") else folder
        raise InputError(
            f"{address} is an address, and a run directory is local: name a folder of this "
            f"machine. `--storage {bucket}` copies its run there while it trains."
        )


def read_number_of_trials(directory: Path, at_start: int) -> int:
    """Return how many trials a run has, which may have been extended since its start."""
    try:
        text = (directory / JOB).read_text(errors="replace")
    except OSError:
        return at_start
    # Reading it as a job takes long, and lists of runs ask for each of them.
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
