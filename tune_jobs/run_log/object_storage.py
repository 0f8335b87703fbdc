"""A copy of a run on object storage, kept while it runs, where the environment asks for it.

``RUNGWISE_MIRROR=s3://bucket/folder`` does, or any other address that PyArrow's file systems know.
Each run has a folder of its name there. ``rungwise fetch`` brings one back, and it can be resumed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyarrow import fs

from envs.validation import InputError
from tune_jobs.run_log.driver_lock import LOCK
from tune_jobs.run_log.events import CheckpointRow, read_event_log

MIRROR_VARIABLE = "RUNGWISE_MIRROR"
"""Variable that says where copies are kept, and asks for them."""
EVERY = 5.0
"""Seconds between two looks at what is new: the most that is lost with the machine."""
LOG = "events.jsonl"


class Mirror:
    """Copies one run.

    Args:
        directory: of the run.
        uri: where copies are kept.

    Raises:
        InputError: there is no such place.
    """

    def __init__(self, directory: Path, uri: str) -> None:
        self.directory = directory.absolute()
        self.there, place = open_filesystem(uri)
        self.remote_path = f"{place}/{self.directory.name}"
        self.there.create_dir(self.remote_path, recursive=True)
        self.copied: set[str] = set()
        """Checkpoints that are there, by their path in the run."""

    def update(self) -> None:
        """Copy the checkpoints that are new, then the log that names them; drop those deleted."""
        log = (self.directory / LOG).read_bytes()
        rows = [
            row for row in read_event_log(self.directory / LOG) if isinstance(row, CheckpointRow)
        ]
        kept = {row.path for row in rows if (self.directory / row.path).is_dir()}
        for path in sorted(kept - self.copied):
            self._copy(path)
        self._write("job.yaml", (self.directory / "job.yaml").read_bytes())
        self._write(LOG, log)
        for path in sorted(self.copied - kept):
            self.there.delete_dir(f"{self.remote_path}/{path}")
        self.copied = kept

    def finish(self) -> None:
        """Copy all that is there in the end: the report and the ledger too."""
        self.update()
        for file in self.directory.iterdir():
            if file.is_file() and file.name not in (LOG, LOCK):
                self._write(file.name, file.read_bytes())

    def _copy(self, path: str) -> None:
        self.there.create_dir(f"{self.remote_path}/{path}", recursive=True)
        fs.copy_files(
            str(self.directory / path),
            f"{self.remote_path}/{path}",
            source_filesystem=fs.LocalFileSystem(),
            destination_filesystem=self.there,
        )

    def _write(self, name: str, content: bytes) -> None:
        with self.there.open_output_stream(f"{self.remote_path}/{name}") as file:
            file.write(content)


@contextmanager
def mirror_run(directory: Path) -> Generator[None]:
    """Keep a copy of a run in the meantime, if the environment asks for it."""
    if not (uri := os.environ.get(MIRROR_VARIABLE)):
        yield
        return
    mirror, stop = Mirror(directory, uri), threading.Event()

    def follow() -> None:
        while not stop.wait(EVERY):
            _copy_or_warn(mirror.update, uri)

    copier = threading.Thread(target=follow, daemon=True)
    copier.start()
    try:
        yield
    finally:
        stop.set()
        copier.join()
        _copy_or_warn(mirror.finish, uri)


def _copy_or_warn(copy: Any, uri: str) -> None:
    """Training does not end because a network does: what was not copied is tried again."""
    try:
        copy()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"rungwise: the copy on {uri} is not up to date: {error}\n")


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of an address, and the path there.

    Raises:
        InputError: it is no address, or nothing answers there.
    """
    asked = uri
    if uri.startswith("s3://"):  # a small file in one request instead of three
        asked += ("&" if "?" in uri else "?") + "allow_delayed_open=true"
    try:
        there, place = fs.FileSystem.from_uri(asked)
        there.get_file_info(place)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{uri} cannot be reached ({error}): give an address such as s3://bucket/folder, with "
            "?endpoint_override=HOST:PORT for a storage of your own."
        ) from error
    return there, place.rstrip("/")


def fetch_run(uri: str, directory: Path) -> None:
    """Bring a copied run back into a directory that nobody has used.

    Raises:
        InputError: there is no run at the address, or the directory is used.
    """
    if directory.exists():
        raise InputError(f"{directory} exists already: choose another place with --out.")
    there, place = open_filesystem(uri)
    if there.get_file_info(f"{place}/{LOG}").type != fs.FileType.File:
        raise InputError(f"There is no run at {uri}: it has no {LOG}.")
    directory.mkdir(parents=True)
    fs.copy_files(
        place,
        str(directory.absolute()),
        source_filesystem=there,
        destination_filesystem=fs.LocalFileSystem(),
    )


def check_mirror() -> None:
    """Say before a run that it cannot be copied as asked.

    Raises:
        InputError: nothing answers at the address.
    """
    if uri := os.environ.get(MIRROR_VARIABLE):
        open_filesystem(uri)
