"""One driver per run directory: a file lock that ends with its process.

``driver.lock`` is locked with ``flock`` for as long as the driver lives, however it ends, and holds
its process id, its machine and its start. The descriptor closes on exec, so the processes that a
driver starts (Ray's, a tracker's) do not hold the lock after it.

Linux maps ``flock`` on NFS to a lock of the server, which also holds between machines; that of a
machine that died is free once its lease has ended (90 s by default). A mount with ``local_lock`` or
``nolock`` only shows each machine its own drivers; a file system without locks (some Lustre mounts)
shows none, and a run there starts with a warning.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rungwise.formatting import format_command, format_duration
from rungwise.run_log.events import JobEndRow, JobRow, Row
from rungwise.run_log.stop_requests import clear_stop_request
from rungwise.validation import InputError
from rungwise.write_errors import refuse_unwritable

LOCK = "driver.lock"
PATIENCE_S = 1.0
"""How long a driver retries: a process that only checks the lock holds it for an instant."""


@dataclass(frozen=True)
class Driver:
    """The latest process that drove a run."""

    pid: int
    host: str
    since: float
    """Seconds since 1970."""

    def __str__(self) -> str:
        """Name the process as an error message does."""
        return f"process {self.pid} on {self.host}"


def _try_lock(file: int, operation: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file; return False where another process holds it."""
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def file_lock(path: Path) -> Generator[int | None]:
    """Hold a lock file; yield its descriptor, or None where another process holds it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield file if _try_lock(file) else None
    finally:
        os.close(file)


@contextmanager
def hold_driver_lock(directory: Path, inherited: int | None = None) -> Generator[None]:
    """Hold a run directory as its only driver, and forget a stop that the last did not serve.

    Args:
        directory: of the run.
        inherited: descriptor of the lock file, where the parent process took the lock. A stop may
            have been requested since then, and stands.

    Raises:
        InputError: another process drives the run, or its directory cannot be written.
    """
    file = _open_and_lock(directory) if inherited is None else inherited
    try:
        # An inherited descriptor is inheritable: Ray's processes would hold the lock after a crash.
        os.set_inheritable(file, False)
        # Written in place. A new file would be another inode, with a lock of its own.
        os.ftruncate(file, 0)
        me = Driver(os.getpid(), socket.gethostname(), time.time())
        os.pwrite(file, json.dumps(asdict(me)).encode(), 0)
        if inherited is None:
            clear_stop_request(directory)
        yield
    finally:
        os.close(file)


def _open_and_lock(directory: Path) -> int:
    with refuse_unwritable(directory, "copy the run to a folder where you can write"):
        file = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    until = time.monotonic() + PATIENCE_S
    try:
        while not _try_lock(file):
            if time.monotonic() >= until:
                os.close(file)
                raise _already_driven_error(directory)
            time.sleep(0.05)
    except OSError as error:
        # Refusing to run here would lock users of such file systems out altogether.
        sys.stderr.write(
            f"rungwise: {directory} is on a file system without locks ({error.strerror}): make "
            "sure that no second process resumes this run.\n"
        )
    return file


def _already_driven_error(directory: Path) -> InputError:
    driver = read_driver(directory)
    by = (
        f"{driver} for {format_duration(time.time() - driver.since)}"
        if driver
        else "another process"
    )
    page = format_command("rungwise", "dashboard", directory)
    return InputError(
        f"{directory} is being driven by {by}, and a run has one driver: wait for its end, or stop "
        f"it with Ctrl-C there or on the page of `{page}`."
    )


def read_driver(directory: Path) -> Driver | None:
    """Return the latest driver of a run, running or not; None if none is known."""
    try:
        return Driver(**json.loads((directory / LOCK).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def has_driver(directory: Path) -> bool:
    """Return whether locks show a running driver of a run."""
    try:
        file = os.open(directory / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Shared, so that two checks at the same moment do not take each other for a driver.
        return not _try_lock(file, fcntl.LOCK_SH)
    except OSError:
        return False
    finally:
        os.close(file)


def describe_lost_driver(directory: Path) -> str:
    """Describe the driver that died, for a run whose log has no end.

    Empty while the driver runs, or where that is unknown: for a driver on another machine, a free
    lock may only mean that the machines do not share locks.
    """
    driver = read_driver(directory)
    if driver is None or driver.host != socket.gethostname() or has_driver(directory):
        return ""
    return f"its driver ({driver}) ended without saying why: it was killed, or ran out of memory"


def make_lost_end(directory: Path, rows: Iterable[Row]) -> list[JobEndRow]:
    """Return the job's end that a log lacks because its driver died; an empty list otherwise."""
    # A log holds one job row a session: only the last session can be without its end.
    begun, latest = 0.0, 0.0
    for row in rows:
        latest = row.time
        if isinstance(row, JobRow):
            begun = row.time
        elif isinstance(row, JobEndRow):
            begun = 0.0
    said = describe_lost_driver(directory) if begun else ""
    spent = latest - begun
    return [JobEndRow(reason="error", seconds=spent, sentence=said, time=latest)] if said else []
