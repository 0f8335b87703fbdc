"""The bytes of a run's log: ``events.jsonl``, and the older rows that it has been relieved of.

Once ``events.jsonl`` is large, its rows move to ``events.old.jsonl.gz``, where they take a sixth of
the space, and its first line becomes a head that says how many bytes of rows there are. Places in a
log count the bytes of all its rows, whichever file they are in. ``zcat`` reads the older ones.
"""

from __future__ import annotations

import fcntl
import functools
import io
import json
import os
import shutil
import struct
import zlib
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from rungwise.validation import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOVED_BYTES = 16 * 2**20
"""Bytes of ``events.jsonl`` from which on its rows are moved: about 9,000 results."""
MEMBER_BYTES = 2**18
"""Bytes of rows that are compressed together, and decompressed for any row among them."""
HEAD = b'{"kind": "older", '
MEMBER = struct.Struct("<10sHHHII")
"""Header of a member of the gzip file. An extra field (RFC 1952, 2.3.1.1) holds the lengths of the
member and of its rows, so that any row is found without decompressing those before it."""
MAGIC, EXTRA = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff", int.from_bytes(b"RW", "little")
GZIP = 31
"""What zlib calls a stream with gzip's header."""


class _Head(NamedTuple):
    """The first line of a log whose older rows are elsewhere; without one, lengths are 0."""

    length: int = 0
    """Of the line itself."""
    bytes: int = 0
    """Of older rows."""
    packed: int = 0
    """Bytes of the compressed file that hold them; what is behind was left by a killed process."""
    identity: tuple[int, int] = (0, 0)
    """Device and inode of ``events.jsonl`` before rows were moved: those of another one differ."""


def get_older(path: Path) -> Path:
    """Return the file with the older rows of a log, which a small log does not have."""
    return path.with_name(f"{path.stem}.old.jsonl.gz")


def _read_head(file: BinaryIO) -> _Head:
    state = os.fstat(file.fileno())
    line = file.readline(len(HEAD) + 200)
    if not line.startswith(HEAD):
        return _Head(identity=(state.st_dev, state.st_ino))
    try:
        head = json.loads(line)
        device, inode = head["identity"]
        return _Head(len(line), head["bytes"], head["packed"], (device, inode))
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
        self._head = _read_head(self._file)

    @property
    def identity(self) -> tuple[int, int]:
        """What stays the same until another log takes the place of this one."""
        return self._head.identity

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return self._head.bytes + os.fstat(self._file.fileno()).st_size - self._head.length

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that any place of it can be read."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place, counted from the start, from here, or from the end."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        self._place = start + offset
        return self._place

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read some of the bytes from this place on; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._place < self._head.bytes:
            starts, places = _list_members(self._path, self._head)
            number = bisect_right(starts, self._place) - 1
            rows = _unpack(self._path, self.identity, places[number], places[number + 1])
            begin = self._place - starts[number]
            data = rows[begin : begin + len(view)]
        else:
            self._file.seek(self._head.length + self._place - self._head.bytes)
            data = self._file.read(len(view))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


@functools.lru_cache(maxsize=8)
def _list_members(path: Path, head: _Head) -> tuple[list[int], list[int]]:
    """Return where the rows of each member begin, and where the members begin and end."""
    starts, places, start, place = list[int](), list[int](), 0, 0
    with _open_older(path) as older:
        while start < head.bytes:
            starts.append(start)
            places.append(place)
            older.seek(place)
            header = older.read(MEMBER.size)
            if len(header) < MEMBER.size or not header.startswith(MAGIC):
                raise _describe_damage(path)
            *_, length, rows = MEMBER.unpack(header)
            start, place = start + rows, place + length
    return starts, [*places, place]


@functools.lru_cache(maxsize=64)  # 16 MiB: a page reads rows of many trials from each member
def _unpack(path: Path, identity: tuple[int, int], begin: int, end: int) -> bytes:
    """Return the rows of a member, given where it begins and ends."""
    with _open_older(path) as older:
        older.seek(begin)
        try:
            return zlib.decompress(older.read(end - begin), GZIP)
        except zlib.error:
            raise _describe_damage(path) from None


def _open_older(path: Path) -> BinaryIO:
    try:
        return get_older(path).open("rb")
    except FileNotFoundError:
        raise InputError(
            f"There is no {get_older(path)}, which holds the older rows of {path.name}: copy both."
        ) from None


def _describe_damage(path: Path) -> InputError:
    return InputError(f"{get_older(path)} is damaged: restore it from a copy.")


def open_log(path: Path) -> io.BufferedReader:
    """Open all rows of a log as one binary file.

    Raises:
        FileNotFoundError: there is none.
        InputError: a part of it is damaged or missing; raised by reading, too.
    """
    return io.BufferedReader(LogBytes(path))


def open_log_and_state(path: Path) -> tuple[io.BufferedReader, tuple[int, int], int]:
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
    # Not tried again before as many bytes more: the rows are safe where they are.
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
    """Move all complete rows to the compressed file; readers and writers may be at work."""
    with path.open("rb") as file:
        # A new file would be this user's: where it is another's, its driver could not write it.
        is_own = os.fstat(file.fileno()).st_uid == os.geteuid()
        if not (is_own and _lock(file.fileno(), fcntl.LOCK_EX, path)):
            return
        head = _read_head(file)
        file.seek(head.length)
        rows = file.read()
        complete = rows.rfind(b"\n") + 1
        with get_older(path).open("r+b" if head.packed else "wb") as older:
            older.truncate(head.packed)
            older.seek(head.packed)
            for start in range(0, complete, MEMBER_BYTES):
                older.write(_pack(rows[start : min(start + MEMBER_BYTES, complete)]))
            older.flush()
            os.fsync(older.fileno())
            packed = older.tell()
        fields = {"bytes": head.bytes + complete, "packed": packed, "identity": head.identity}
        line = HEAD + json.dumps(fields).removeprefix("{").encode() + b"\n"
        # Until this file has its new name the moved rows are read from it, and afterwards from the
        # other one: a kill in between leaves a whole log.
        unfinished = path.with_name(f".{path.name}")
        with unfinished.open("wb") as new:
            new.write(line + rows[complete:])
            new.flush()
            os.fsync(new.fileno())
        shutil.copymode(path, unfinished)
        unfinished.replace(path)


def _pack(rows: bytes) -> bytes:
    """Return a member of a gzip file."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = deflate.compress(rows) + deflate.flush()
    end = struct.pack("<II", zlib.crc32(rows), len(rows))
    length = MEMBER.size + len(body) + len(end)
    return MEMBER.pack(MAGIC, 12, EXTRA, 8, length, len(rows)) + body + end
