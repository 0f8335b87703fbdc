"""The bytes of a run's log: ``events.jsonl``, and the segments with the rows before it.

Once ``events.jsonl`` is large, its rows move to ``events-0001.jsonl.gz`` or the next segment, where
they take a sixth of the space, and its first line becomes a head that lists the segments. Places in
a log count the bytes of all its rows, whichever file they are in. ``zcat`` reads the segments.
"""

from __future__ import annotations

import fcntl
import functools
import gzip
import hashlib
import io
import json
import os
import shutil
import zlib
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from rungwise.validation import InputError
from rungwise.whole_file import replace_whole

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOVED_BYTES = 16 * 2**20
"""Bytes of ``events.jsonl`` from which on its rows are moved: about 9,000 results."""
HEAD = b'{"kind": "older", '
SEGMENTS = "events[.-]*.jsonl.gz"
"""Pattern of the files that hold older rows."""


class _Head(NamedTuple):
    """The first line of a log whose older rows are in segments; without one, there are none."""

    identity: str
    """Hash of the first row: that of another log differs."""
    segments: tuple[int, ...] = ()
    """Bytes of the rows of each segment; a later one was left by a process that was killed."""
    packed: int | None = None
    """Bytes that count of the first segment, if an earlier version wrote it under its own name."""


def get_segment(path: Path, number: int) -> Path:
    """Return the file of a segment of a log, from 1; 0 is what earlier versions wrote."""
    return path.with_name(f"{path.stem}{f'-{number:04}' if number else '.old'}.jsonl.gz")


def _read_head(file: BinaryIO) -> tuple[_Head, int]:
    """Return the head of a log, and the bytes that it takes in front of the rows."""
    line = file.readline()
    if not line.startswith(HEAD):
        return _Head(hashlib.sha256(line).hexdigest()), 0
    try:
        head = json.loads(line)
        packed = head.get("packed")
        segments = head.get("segments") or [head["bytes"]]  # an earlier version wrote only one
        return _Head(str(head["identity"]), tuple(segments), packed), len(line)
    except (ValueError, LookupError, TypeError):
        raise InputError(
            f"{file.name} is damaged: its first line does not say where its older rows are. "
            "Restore it from a copy."
        ) from None


class LogBytes(io.RawIOBase):
    """All rows of a log as one file, opened for reading."""

    def __init__(self, path: Path) -> None:
        """Open the log as it is now; what is appended later is read, too.

        Raises:
            FileNotFoundError: there is none.
            InputError: its first line is damaged.
        """
        self._path, self._file, self._place = path, path.open("rb"), 0
        self._head, self._length = _read_head(self._file)
        self._starts = list(accumulate(self._head.segments, initial=0))
        self.identity = self._head.identity

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return self._starts[-1] + os.fstat(self._file.fileno()).st_size - self._length

    def readable(self) -> bool:
        """Return that it can be read, at any place."""
        return True

    seekable = readable

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place, counted from the start, from here, or from the end."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        self._place = start + offset
        return self._place

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read some of the bytes from this place on; 0 at the end."""
        view = memoryview(buffer).cast("B")
        index = bisect_right(self._starts, self._place) - 1
        begin = self._place - self._starts[index]
        if index < len(self._head.segments):
            data = self._load_segment(index)[begin : begin + len(view)]
        else:
            self._file.seek(self._length + begin)
            data = self._file.read(len(view))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _load_segment(self, index: int) -> bytes:
        packed = self._head.packed
        path = get_segment(self._path, index + (packed is None))
        try:
            state = path.stat()
            rows = _unpack(path, (state.st_mtime_ns, state.st_size), None if index else packed)
        except (FileNotFoundError, EOFError, gzip.BadGzipFile, zlib.error):
            rows = b""
        if len(rows) != self._head.segments[index]:
            about = f"{path}, which holds older rows of {self._path.name}"
            raise InputError(f"{about}, is missing or damaged: copy it, too.")
        return rows

    def close(self) -> None:
        """Close the file, unless it could not be opened."""
        if "_file" in vars(self):
            self._file.close()
        super().close()


@functools.lru_cache(maxsize=1)  # what follows a log, and a page, read many parts of each segment
def _unpack(path: Path, version: tuple[int, int], packed: int | None) -> bytes:
    """Return the rows of a segment, given its time of change and size, and the bytes that count."""
    return gzip.decompress(path.read_bytes()[:packed])


def open_log(path: Path) -> io.BufferedReader:
    """Open all rows of a log as one binary file.

    Raises:
        FileNotFoundError: there is none.
        InputError: a part of it is damaged or missing; raised by reading, too.
    """
    return io.BufferedReader(LogBytes(path))


def open_log_and_state(path: Path) -> tuple[io.BufferedReader, str, int]:
    """Open a log as a follower does: with what identifies it, and its size in bytes."""
    file = LogBytes(path)
    return io.BufferedReader(file), file.identity, file.size


def get_log_size(path: Path) -> int:
    """Return the bytes of all rows of a log; 0 without one."""
    try:
        with LogBytes(path) as log:
            return log.size
    except FileNotFoundError:
        return 0


def append_line(path: Path, line: bytes) -> None:
    """Append a line in a single write, so that at most the last line can be partial.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    while True:
        # Opened for each line: several writers may append, and O_APPEND puts each line at the end
        # of the file as it is then.
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if not _lock(file, fcntl.LOCK_SH, path):
                continue
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                # A killed writer left half a line: without this the new one would be lost with it.
                line = b"\n" + line
            # A full disk cuts a write short. The next append begins a new line (see above).
            if os.write(file, line) < len(line):
                raise OSError(f"{path} took only a part of a row: is the disk full?")
            break
        finally:
            os.close(file)
    # Tried again only after as many bytes more: the rows are safe where they are.
    if size // MOVED_BYTES != (size + len(line)) // MOVED_BYTES:
        try:
            _move_rows(path)
        except (OSError, InputError):
            return


def _lock(file: int, operation: int, path: Path) -> bool:
    """Lock an open log; return False where another file has taken its place meanwhile."""
    try:
        fcntl.flock(file, operation)
    except OSError:  # a file system without locks, on which no rows are moved
        return operation == fcntl.LOCK_SH
    return os.fstat(file).st_ino == path.stat().st_ino


def _move_rows(path: Path) -> None:
    """Move all complete rows to a new segment; readers and writers may be at work."""
    with path.open("rb") as file:
        # A new file would be this user's: where it is another's, its driver could not write it.
        is_own = os.fstat(file.fileno()).st_uid == os.geteuid()
        if not (is_own and _lock(file.fileno(), fcntl.LOCK_EX, path)):
            return
        head, length = _read_head(file)
        file.seek(length)
        rows = file.read()
        if not (complete := rows.rfind(b"\n") + 1):
            return
        number = len(head.segments) + (head.packed is None)
        _write(get_segment(path, number), gzip.compress(rows[:complete], 6), path)
        fields = head._replace(segments=(*head.segments, complete))._asdict()
        line = json.dumps({"kind": "older", **fields}).encode() + b"\n"
        # Until this file has its new name the moved rows are read from it, and afterwards from the
        # segment: a kill in between leaves a whole log.
        _write(path, line + rows[complete:], path)


def _write(path: Path, content: bytes, log: Path) -> None:
    with replace_whole(path) as unfinished:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(log, unfinished)
