"""Mirror a run to object storage while it runs.

A job's ``storage: s3://bucket/folder``, or RUNGWISE_MIRROR, switches it on; any address of
PyArrow's file systems works. Each run has a folder of its name there, with its id where another run
has that name.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from subprocess import PIPE
from urllib.parse import urlsplit

from rungwise.formatting import format_command
from rungwise.run_directory import COPY, LOG, NOTIFY
from rungwise.run_log.driver_lock import LOCK
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import CheckpointRow, JobRow, Row, VideoRow
from rungwise.run_log.log_file import SEGMENTS, open_log
from rungwise.user_packages import ROOT
from rungwise.validation import InputError
from tune_jobs.session.stored_run import BLOCK, log_begins_with, open_filesystem

MIRROR_VARIABLE = "RUNGWISE_MIRROR"
"""Environment variable with the storage of runs whose job names none."""
EVERY = 5.0
"""Seconds between two updates of a copy: the most that is lost with the machine."""
PROGRAMS = "programs"
"""The folder of a run that holds a folder for each of its programs."""
PROGRAMS_EVERY = 60.0
"""Seconds between two copies of what programs write, besides those with checkpoints: some programs
have none, and what grows is copied as a whole each time."""
STALLED_S = 120.0
"""Seconds without a copied file after which the end of a run waits for its copy no longer."""


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
        self.uri, (self.filesystem, self.place) = uri, open_filesystem(uri)
        self.on_copy: Callable[[], object] = bool  # called before each file or checkpoint
        self.remote_path = ""  # before the first update
        self.copied: dict[str, bool] = {}
        """Checkpoints on the storage, relative to the run directory, and whether each is whole."""
        self._warned, self._has_failed = set[str](), False
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
        if not self.remote_path:
            self._choose_folder(rows)
        checkpoints = [row for row in rows if isinstance(row, CheckpointRow)]
        named = {path for row in checkpoints for path in (row.path, row.best) if path}
        kept = {path for path in named if (self.directory / path).is_dir()}
        # A copy of the best that no row names yet, too: the newest may turn out to be worse.
        copies = (c for path in kept for c in (self.directory / path).parent.glob(f"{COPY}*"))
        kept |= {copy.relative_to(self.directory).as_posix() for copy in copies}
        new = {path for path in kept if not self.copied.get(path)}
        # The newest first: it stays longest.
        for path in sorted(new, reverse=True):
            self._attempt(self._copy, path)
        lost = {path for path in new if not self.copied.get(path)}
        if time.monotonic() >= self._next_programs:
            self._copy_changed(PROGRAMS)
            self._next_programs = time.monotonic() + PROGRAMS_EVERY
        else:
            for trial in sorted({row.trial for row in checkpoints if row.path in new}):
                self._copy_changed(f"{PROGRAMS}/{trial}")
        for row in rows:
            if isinstance(row, VideoRow) and row.path:
                self._attempt(self._copy_file, row.path)
        self._attempt(self._copy_file, "job.yaml")
        self._write_log(log)
        # Where the run deletes checkpoints before they are copied, the older copies are all that a
        # trial can go on from.
        stuck = set(map(_get_kind, lost)) - set(map(_get_kind, new - lost))
        gone = {_get_kind(path) for path in lost if not (self.directory / path).is_dir()}
        if stuck & self._stuck & gone:  # one alone may be chance
            sys.stderr.write(
                f"rungwise: the run deletes its checkpoints before they are on {self.remote_path}: "
                "save them less often (checkpoint_interval)\n"
            )
        self._stuck = stuck
        for path in sorted(self.copied.keys() - kept):
            if not self.copied[path] or _get_kind(path) not in stuck:
                self._attempt(self._delete, path)

    def finish(self) -> bool:
        """Copy the final state of a run, with its report and its ledger; return whether all is."""
        self._next_programs, self._has_failed = 0.0, False
        self.update()
        for file in self.directory.iterdir():
            # The log is copied already; a lock would name a driver of another machine.
            if file.is_file() and file.name not in (LOG, LOCK, NOTIFY):
                self._attempt(self._copy_file, file.name)
        return not self._has_failed

    def _choose_folder(self, rows: Sequence[Row]) -> None:
        """Choose the folder of the copy, and begin a log there, by which other runs know it."""
        with open_log(self.directory / LOG) as log:
            first = log.readline()
        path = f"{self.place}/{self.directory.name}"
        begins_so = log_begins_with(first, self.filesystem, path)
        if begins_so is False:
            ids = [row.id for row in rows if isinstance(row, JobRow) and row.id]
            path += f"-{(ids or [hashlib.sha256(first).hexdigest()[:16]])[0]}"
            sys.stderr.write(f"rungwise: the copy of this run is {path}: its name is taken\n")
        self.remote_path = path
        if begins_so is None:
            self._copy_file("job.yaml")
            self._write_log(first)

    def _attempt(self, action: Callable[[str], object], path: str) -> None:
        """Copy or delete one path; where that fails, warn of it once and leave it for later."""
        self.on_copy()
        try:
            action(path)
        except Exception as error:
            self._has_failed = True
            if path not in self._warned:
                at = f"{self.remote_path}/{path}"
                sys.stderr.write(f"rungwise: {at} is not up to date: {error}\n")
            self._warned.add(path)

    def _delete(self, path: str) -> None:
        """Delete a checkpoint or a file from the storage."""
        is_file, remote = path in self.files, f"{self.remote_path}/{path}"
        with suppress(FileNotFoundError):  # an attempt before this one deleted it after all
            (self.filesystem.delete_file if is_file else self.filesystem.delete_dir)(remote)
        del (self.files if is_file else self.copied)[path]

    def _copy(self, path: str) -> None:
        """Copy a checkpoint, unless the run deletes it meanwhile."""
        from pyarrow import fs

        remote = f"{self.remote_path}/{path}"
        self.copied[path] = False
        try:
            self.filesystem.create_dir(remote, recursive=True)
            fs.copy_files(
                str(self.directory / path),
                remote,
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=self.filesystem,
            )
        except Exception:
            self._delete(path)
            if (self.directory / path).is_dir():
                raise
        else:
            self.copied[path] = True

    def _copy_changed(self, folder: str) -> None:
        """Copy the files of a folder that have changed; delete those that the run has deleted."""
        root = self.directory / folder
        errors = list[OSError]()
        paths = {
            (Path(parent) / name).relative_to(self.directory).as_posix()
            for parent, _, names in os.walk(root, onerror=errors.append)
            for name in names
        }
        for path in sorted(paths):
            self._attempt(self._copy_file, path)
        # The files of a folder that cannot be listed have not been deleted.
        if all(isinstance(error, FileNotFoundError) for error in errors):
            for path in [path for path in self.files if path.startswith(f"{folder}/")]:
                if path not in paths:
                    self._attempt(self._delete, path)

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
                self.files[path] = (0, -1)  # a part of it is there, whatever happens now
                with self.filesystem.open_output_stream(remote, compression=None) as copy:
                    if self.filesystem.type_name == "local":  # a job may hold secrets
                        shutil.copymode(file, remote)
                    shutil.copyfileobj(source, copy, BLOCK)
        except FileNotFoundError:
            return
        self.files[path] = version

    def _write_log(self, content: bytes) -> None:
        for segment in self.directory.glob(SEGMENTS):
            self._copy_file(segment.name)
        remote = f"{self.remote_path}/{LOG}"
        with self.filesystem.open_output_stream(remote, compression=None) as file:
            file.write(content)


def _get_kind(path: str) -> tuple[str, bool]:
    """Return the folder of a checkpoint, and whether it is a copy of the best."""
    folder, _, name = path.rpartition("/")
    return folder, name.startswith(COPY)


@contextmanager
def mirror_run(directory: Path, storage: str) -> Generator[None]:
    """Mirror a run while the block runs, where a job or :data:`MIRROR_VARIABLE` asks for that.

    A process of its own copies: a storage that hangs holds threads of PyArrow that Tune needs, too.
    """
    if not (uri := storage or os.environ.get(MIRROR_VARIABLE)):
        yield
        return
    words = [sys.executable, "-m", "tune_jobs.session.object_storage", str(directory), uri]
    path = {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    # Ctrl-C is for the run, whose end is copied, too.
    process = subprocess.Popen(
        words, stdin=PIPE, stdout=PIPE, env=os.environ | path, start_new_session=True
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: S101
    try:
        yield
    finally:
        process.stdin.close()  # it copies the end of the run, and writes a byte for each file
        while select.select([process.stdout], [], [], STALLED_S)[0]:
            if not os.read(process.stdout.fileno(), BLOCK):
                break
        else:
            again = format_command("rungwise", "resume", directory)
            sys.stderr.write(
                f"rungwise: {uri} has not answered for {STALLED_S:.0f} s: the copy there lacks the "
                f"end of the run; `{again}` copies it\n"
            )
        process.kill()
        process.wait()


def copy_until(stop: threading.Event, mirror: Mirror) -> None:
    """Copy a run again and again, and its final state once it is stopped."""
    while not stop.wait(EVERY):
        _copy_or_warn(mirror.update, mirror.uri)
    mirror.on_copy = lambda: os.write(1, b".")
    for _ in range(3):  # at once: no update follows that could make it good
        if _copy_or_warn(mirror.finish, mirror.uri):
            break


def main() -> None:
    """Copy the run of the command line until standard input ends, as it does with the driver."""
    stop = threading.Event()

    def await_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=await_end, daemon=True).start()
    copy_until(stop, Mirror(Path(sys.argv[1]), sys.argv[2]))


def _copy_or_warn(copy: Callable[[], object], uri: str) -> bool:
    """Copy, or warn: a failed network must not end training, and the next update retries."""
    try:
        return bool(copy())
    except Exception as error:
        sys.stderr.write(f"rungwise: the copy on {uri} is not up to date: {error}\n")
        return False


def check_storage(storage: str) -> None:
    """Check before a run that its copy can be written.

    Raises:
        InputError: the address cannot be reached, or has a secret in it that files would hold.
    """
    if "@" in urlsplit(storage).netloc:
        raise InputError(
            "storage has a key before the bucket, which the files of the run would hold: leave it "
            "out, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if uri := storage or os.environ.get(MIRROR_VARIABLE):
        open_filesystem(uri)


if __name__ == "__main__":
    main()
