"""Mirror a run to object storage while it runs.

``RUNGWISE_MIRROR=s3://bucket/folder`` switches it on; any address of PyArrow's file systems works.
Each run has a folder of its name there. ``rungwise fetch`` downloads a run, to be resumed.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from envs.optional_imports import TRAIN, import_extra
from envs.validation import InputError
from tune_jobs.run_directory import NOTIFY
from tune_jobs.run_log.best_checkpoint import COPY
from tune_jobs.run_log.driver_lock import LOCK
from tune_jobs.run_log.event_log import read_event_log
from tune_jobs.run_log.events import CheckpointRow, VideoRow
from tune_jobs.run_log.log_file import get_older
from tune_jobs.write_errors import describe_cause, refuse_unwritable

if TYPE_CHECKING:
    from pyarrow import fs

MIRROR_VARIABLE = "RUNGWISE_MIRROR"
"""Environment variable with the address of the copies; unset, no copy is made."""
EVERY = 5.0
"""Seconds between two updates of a copy: the most that is lost with the machine."""
LOG = "events.jsonl"
PROGRAMS = "programs"
"""The folder of a run that holds a folder for each of its programs."""
PROGRAMS_EVERY = 60.0
"""Seconds between two copies of what programs write, besides those with checkpoints: some programs
have none, and what grows is copied as a whole each time."""
BLOCK = 1 << 22
"""Bytes of a file that are copied at a time."""


class Mirror:
    """The copy of one run on object storage.

    Args:
        directory: the run directory.
        uri: address of the folder that holds all copies.

    Raises:
        InputError: the address cannot be reached.
    """

    def __init__(self, directory: Path, uri: str) -> None:
        self.directory = directory.absolute()
        self.older = get_older(self.directory / LOG).name
        self.filesystem, place = open_filesystem(uri)
        self.remote_path = f"{place}/{self.directory.name}"
        self.filesystem.create_dir(self.remote_path, recursive=True)
        self.copied: set[str] = set()
        """Paths of the copied checkpoints, relative to the run directory."""
        self._stuck: set[tuple[str, bool]] = set()
        """Kinds of checkpoints of which the last update could copy none in time."""
        self.files: dict[str, tuple[int, int]] = {}
        """Time of change and size of each copied file of programs and videos, by its path."""
        self._next_programs = 0.0

    def update(self) -> None:
        """Copy new checkpoints, then the log that names them; delete those the run has deleted.

        What the programs of a run save is copied with their checkpoints, which only say how far
        the programs are.
        """
        # The log is read before checkpoints are copied and written after them: at any moment the
        # copied log names no checkpoint that is still to be copied, unless the run has deleted it.
        # Deleting comes last.
        log = (self.directory / LOG).read_bytes()
        rows = read_event_log(self.directory / LOG)
        checkpoints = [row for row in rows if isinstance(row, CheckpointRow)]
        named = {path for row in checkpoints for path in (row.path, row.best) if path}
        kept = {path for path in named if (self.directory / path).is_dir()}
        # A copy of the best that no row names yet, too: the newest may turn out to be worse.
        copies = (c for path in kept for c in (self.directory / path).parent.glob(f"{COPY}*"))
        kept |= {copy.relative_to(self.directory).as_posix() for copy in copies}
        new = kept - self.copied
        # The newest first: it stays longest.
        lost = {path for path in sorted(new, reverse=True) if not self._copy(path)}
        if time.monotonic() >= self._next_programs:
            self._copy_changed(PROGRAMS)
            self._next_programs = time.monotonic() + PROGRAMS_EVERY
        else:
            for trial in sorted({row.trial for row in checkpoints if row.path in new}):
                self._copy_changed(f"{PROGRAMS}/{trial}")
        for row in rows:
            if isinstance(row, VideoRow) and row.path:
                self._copy_file(row.path)
        self._copy_file(self.older)
        self._copy_file("job.yaml")
        self._write(LOG, log)
        # Where the run deletes checkpoints before they are copied, the older copies are all that a
        # trial can go on from.
        stuck = set(map(_get_kind, lost)) - set(map(_get_kind, new - lost))
        if stuck & self._stuck:  # one alone may be chance
            sys.stderr.write(
                f"rungwise: the run deletes its checkpoints before they are on {self.remote_path}: "
                "save them less often (checkpoint_interval)\n"
            )
        self._stuck = stuck
        deleted = {path for path in self.copied - kept if _get_kind(path) not in stuck}
        for path in sorted(deleted):
            self.filesystem.delete_dir(f"{self.remote_path}/{path}")
        self.copied = (self.copied | kept) - deleted - lost

    def finish(self) -> None:
        """Copy the final state of a run, with its report and its ledger."""
        self._next_programs = 0.0
        self.update()
        for file in self.directory.iterdir():
            # The log is copied already; a lock would name a driver of another machine.
            if file.is_file() and file.name not in (LOG, self.older, LOCK, NOTIFY):
                self._copy_file(file.name)

    def _copy(self, path: str) -> bool:
        """Copy a checkpoint; return False if the run has deleted it meanwhile."""
        from pyarrow import fs

        remote = f"{self.remote_path}/{path}"
        self.filesystem.create_dir(remote, recursive=True)
        try:
            fs.copy_files(
                str(self.directory / path),
                remote,
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=self.filesystem,
            )
        except FileNotFoundError:
            self.filesystem.delete_dir(remote)
            return False
        return True

    def _copy_changed(self, folder: str) -> None:
        """Copy the files of a folder that have changed; delete those that the run has deleted."""
        root = self.directory / folder
        found = {
            (Path(place) / name).relative_to(self.directory).as_posix()
            for place, _, names in os.walk(root)
            for name in names
        }
        for path in sorted(found):
            self._copy_file(path)
        for path in [path for path in self.files if path.startswith(f"{folder}/")]:
            if path not in found:
                self.filesystem.delete_file(f"{self.remote_path}/{path}")
                del self.files[path]

    def _copy_file(self, path: str) -> None:
        """Copy a file unless its copy is up to date or it has been deleted meanwhile."""
        file = self.directory / path
        try:
            state = file.stat()
            if not S_ISREG(state.st_mode):
                return
            # Asked before it is read: what is written meanwhile is copied the next time.
            version = (state.st_mtime_ns, state.st_size)
            if self.files.get(path) == version:
                return
            with file.open("rb") as source:
                remote = f"{self.remote_path}/{path}"
                self.filesystem.create_dir(remote.rpartition("/")[0], recursive=True)
                with self.filesystem.open_output_stream(remote, compression=None) as copy:
                    if self.filesystem.type_name == "local":  # a job may hold secrets
                        shutil.copymode(file, remote)
                    shutil.copyfileobj(source, copy, BLOCK)
        except FileNotFoundError:
            return
        self.files[path] = version

    def _write(self, name: str, content: bytes) -> None:
        remote = f"{self.remote_path}/{name}"
        with self.filesystem.open_output_stream(remote, compression=None) as file:
            file.write(content)


def _get_kind(path: str) -> tuple[str, bool]:
    """Return the folder of a checkpoint, and whether it is a copy of the best."""
    folder, _, name = path.rpartition("/")
    return folder, name.startswith(COPY)


@contextmanager
def mirror_run(directory: Path) -> Generator[None]:
    """Mirror a run while the block runs, where :data:`MIRROR_VARIABLE` is set."""
    if not (uri := os.environ.get(MIRROR_VARIABLE)):
        yield
        return
    mirror, stop = Mirror(directory, uri), threading.Event()

    def follow() -> None:
        while not stop.wait(EVERY):
            _copy_or_warn(mirror.update, uri)

    # A thread of its own: an upload takes seconds, in which trials would wait for the driver.
    copier = threading.Thread(target=follow, daemon=True)
    copier.start()
    try:
        yield
    finally:
        stop.set()
        copier.join()
        _copy_or_warn(mirror.finish, uri)


def _copy_or_warn(copy: Callable[[], None], uri: str) -> None:
    """Copy, or warn: a failed network must not end training, and the next update retries."""
    try:
        copy()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"rungwise: the copy on {uri} is not up to date: {error}\n")


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of an address, and the path in it.

    Raises:
        InputError: the address is not valid or cannot be reached, or PyArrow is not installed.
    """
    fs = import_extra("pyarrow.fs", TRAIN)
    asked = uri
    if uri.startswith("s3://"):  # a small file in one request instead of three
        asked += ("&" if "?" in uri else "?") + "allow_delayed_open=true"
    try:
        filesystem, path = fs.FileSystem.from_uri(asked)
        if not path.strip("/"):
            raise ValueError("it names no folder")
        # from_uri opens no connection: this is the first request.
        filesystem.get_file_info(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{uri} cannot be reached ({error}): give an address such as s3://bucket/folder, with "
            "?endpoint_override=HOST:PORT for a storage of your own."
        ) from error
    return filesystem, path.rstrip("/")


def fetch_run(uri: str, directory: Path) -> None:
    """Download a mirrored run into a new directory.

    Raises:
        InputError: there is no run at the address, the directory exists or cannot be written, or
            the copy fails.
    """
    if directory.exists():
        raise InputError(f"{directory} exists already: choose another place with --out.")
    filesystem, path = open_filesystem(uri)
    from pyarrow import fs

    if filesystem.get_file_info(f"{path}/{LOG}").type != fs.FileType.File:
        raise InputError(f"There is no run at {uri}: it has no {LOG}.")
    with refuse_unwritable(directory):
        directory.mkdir(parents=True)
    local = fs.LocalFileSystem()
    try:
        fs.copy_files(
            *(path, str(directory.absolute())),
            source_filesystem=filesystem,
            destination_filesystem=local,
        )
    except OSError as error:
        raise InputError(
            f"{uri} could not be copied whole to {directory} ({describe_cause(error)}): delete the "
            "directory, free some disk space where there is none, and fetch the run again."
        ) from error


def check_mirror() -> None:
    """Check before a run that its copy can be written.

    Raises:
        InputError: the address cannot be reached.
    """
    if uri := os.environ.get(MIRROR_VARIABLE):
        open_filesystem(uri)
