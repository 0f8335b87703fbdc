"""What is added to a file that another process writes: each byte is read once."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from envs.validation import InputError

CHUNK = 8_000_000
"""Bytes that one read takes at most: about 0.2 s of parsing, so that a log of 100 MB does not stall
the process that follows it."""


class Tail:
    """The bytes of one file from where the last read ended."""

    def __init__(self, path: Path) -> None:
        """Start before the first byte; the file need not exist yet."""
        self.path = path
        self.start = 0
        """Where the bytes of the last read began, in bytes from the start of the file."""
        self.offset = 0
        """Where the next read begins."""
        self.replaced = False
        """Whether the last read began anew, since the file was truncated or another took its
        place."""
        self.rewritten = False
        """Whether the last read began anew, since the first bytes are others than before."""
        self.behind = False
        """Whether the last read stopped at its limit, so that there is more."""
        self.top = b""
        """First bytes of the file that must stay as they are, such as a table's header: a logger
        that meets a new column writes the whole file again, in place. They alone are read twice."""
        self._identity: tuple[int, int] | None = None

    def read(self, limit: int = CHUNK) -> bytes:
        """Return at most `limit` new bytes; empty while the file is missing or has not grown.

        Raises:
            OSError: if the file exists and cannot be read.
        """
        self.start = self.offset
        self.replaced = self.rewritten = self.behind = False
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return b""  # between the two steps of a rotation
        with file:
            state = os.fstat(file.fileno())
            identity = (state.st_dev, state.st_ino)
            # A rotated log has another inode, a restarted one is shorter than what was read of it.
            if self._identity not in (None, identity) or state.st_size < self.offset:
                self._rewind()
                self.replaced = True
            self._identity = identity
            if state.st_size == self.offset or limit <= 0:
                self.behind = state.st_size > self.offset
                return b""
            if self.offset and self.top and file.read(len(self.top)) != self.top:
                self._rewind()
                self.rewritten = True
            file.seek(self.offset)
            data = file.read(limit)
        self.offset += len(data)
        self.behind = self.offset < state.st_size
        return data

    def _rewind(self) -> None:
        self.start = self.offset = 0
        self.top = b""


class Lines:
    """The lines that are added to a text file; a line without its line break waits."""

    def __init__(self, path: Path) -> None:
        """Start before the first line."""
        self.tail = Tail(path)
        self.number = 0
        """Lines returned so far."""
        self._waiting = b""

    def read(self, limit: int = CHUNK, *, final: bool = False) -> list[str]:
        """Return the new complete lines, with their line breaks; at the end also a cut off one.

        Args:
            limit: how many bytes to read at most.
            final: whether nothing more is written, so that the last line need not wait.

        Raises:
            OSError: if the file exists and cannot be read.
            InputError: if a line is not UTF-8.
        """
        data = self.tail.read(limit)
        if self.tail.replaced or self.tail.rewritten:
            self._waiting, self.number = b"", 0
        before = self.tail.start - len(self._waiting)
        data = self._waiting + data
        cut = len(data) if final and not self.tail.behind else data.rfind(b"\n") + 1
        text, self._waiting = data[:cut], data[cut:]
        # The encoding drops the byte order mark that Excel puts at the start of a file.
        encoding = "utf-8-sig" if self.number == 0 else "utf-8"
        try:
            decoded = text.decode(encoding)
        except UnicodeDecodeError as error:
            place = f"byte {before + error.start} is not UTF-8"
            raise InputError(f"{self.tail.path} is not a text file: {place}.") from None
        lines = decoded.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        last = lines.pop()
        lines = [f"{line}\n" for line in lines] + [last] * bool(last)
        self.number += len(lines)
        return lines

    def pin(self, count: int) -> None:
        """Expect the first lines of the file to stay as they are; see :attr:`Tail.top`."""
        with self.tail.path.open("rb") as file:
            self.tail.top = b"".join(islice(file, count))
