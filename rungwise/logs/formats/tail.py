"""Read what is added to a file that another process writes, and recognise half a line."""

from __future__ import annotations

import codecs
import io
import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeAlias

CHUNK = 8_000_000
"""Bytes that one read takes at most: about 0.2 s of parsing, so that a log of 100 MB does not stall
the process that follows it."""
LONGEST_LINE = 1_000_000
"""Bytes of a line, at most, of which a killed program may have left half."""
SEPARATORS = (b",", b";", b"\t", b":", b"{")
"""Separators of the values of a line, in the formats that are text."""
LEADING_NUMBER = re.compile(rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")
Identity: TypeAlias = tuple[int, int] | str
"""Device and inode, or a text: those of another file that takes the place of one differ."""
HALF_LINES: dict[Path, dict[int, bytes]] = {}
"""Half lines of killed programs, by log and by the offset of their end in bytes: the program that
continues such a run writes its next line there, and the two may look like a sound one.
``tune_jobs.programs`` fills this and ``WHOLE_LOGS``, since only it knows how a program ended."""
WHOLE_LOGS: set[Path] = set()
"""Files and folders with the logs of programs that ended by themselves: there the last number of
a file is whole without a line break behind it, too."""
LAST_NUMBER = re.compile(rb"(?<![-+.\w])[-+]?\.?\d[-+.\w]*$")


def find_half_line(path: Path) -> tuple[int, bytes]:
    """Return the size of a file in bytes, and what stands behind its last line break.

    Nothing does in a file that is not text, or whose last line is longer than any that is logged.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LONGEST_LINE))
        lines = file.read()
    _, line_break, half = lines.rpartition(b"\n")
    is_line = b"\0" not in lines and (line_break or size == len(lines))
    return size, half if is_line else b""


def open_with_state(path: Path) -> tuple[BinaryIO, Identity, int]:
    """Open a file; return it with its device and inode, and with its size in bytes."""
    file = path.open("rb")
    state = os.fstat(file.fileno())
    return file, (state.st_dev, state.st_ino), state.st_size


def open_as_utf8(path: Path) -> tuple[BinaryIO, Identity, int]:
    """Open a text as UTF-8, also one that PowerShell or Excel wrote in UTF-16.

    See :func:`open_with_state`.
    """
    file, identity, size = open_with_state(path)
    mark = file.read(2)
    file.seek(0)
    if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        with file:
            # Half of a character at the end is a write that is not complete: hence not final.
            text = codecs.getincrementaldecoder("utf-16")("replace").decode(file.read()).encode()
        return io.BytesIO(text), identity, len(text)
    return file, identity, size


def open_text(path: Path, errors: str = "strict") -> io.TextIOWrapper:
    """Open a text to be read, without the byte order mark that Excel puts before it."""
    return io.TextIOWrapper(open_as_utf8(path)[0], "utf-8-sig", errors)


class Tail:
    """The bytes of one file from where the last read ended; each is read once."""

    def __init__(
        self, path: Path, open_file: Callable[[Path], tuple[BinaryIO, Identity, int]] | None = None
    ) -> None:
        """Start before the first byte; the file need not exist yet.

        Args:
            path: the file.
            open_file: opens it and returns what identifies it and its size in bytes, where it is
                more than one file.
        """
        self.path, self._open = path, open_file or open_with_state
        self.start = 0
        """Where the bytes of the last read began, in bytes from the start of the file."""
        self.offset = 0
        """Where the next read begins."""
        self.consumed = 0
        """New bytes of the last read."""
        self.size = 0
        """Bytes of the file at the last read."""
        self.replaced = False
        """Whether the last read began anew: the file was truncated or another took its place."""
        self.rewritten = False
        """Whether the last read began anew, since the first bytes are others than before."""
        self.behind = False
        """Whether the last read stopped at its limit, so that there is more."""
        self.top = b""
        """First bytes of the file that must stay as they are, such as a table's header: a logger
        that meets a new column writes the whole file again, in place. They alone are read twice."""
        self._identity: Identity | None = None
        self._kept = b""

    def read(self, limit: int = CHUNK) -> bytes:
        """Return what was kept, and at most `limit` new bytes; none while the file is missing.

        Raises:
            OSError: if the file exists and cannot be read.
        """
        self.replaced = self.rewritten = self.behind = False
        self.consumed = 0
        try:
            file, identity, self.size = self._open(self.path)
        except FileNotFoundError:
            return self._take(b"")  # between the two steps of a rotation
        with file:
            # A rotated log has another inode, a restarted one is shorter than what was read of it.
            if self._identity not in (None, identity) or self.size < self.offset:
                self._rewind()
                self.replaced = True
            self._identity = identity
            if self.size == self.offset or limit <= 0:
                self.behind = self.size > self.offset
                return self._take(b"")
            if self.offset and self.top and file.read(len(self.top)) != self.top:
                self._rewind()
                self.rewritten = True
            file.seek(self.offset)
            data = file.read(limit)
        self.behind = self.offset + len(data) < self.size
        return self._take(data)

    def keep(self, rest: bytes) -> None:
        """Keep the last bytes of a read, which are incomplete, for the next one."""
        self._kept = rest

    def _take(self, data: bytes) -> bytes:
        self.start = self.offset - len(self._kept)
        self.offset += len(data)
        self.consumed = len(data)
        data, self._kept = self._kept + data, b""
        return data

    def _rewind(self) -> None:
        self.offset = 0
        self.top = self._kept = b""


class Lines:
    """The lines that are added to a text file; a line without its line break waits."""

    def __init__(self, path: Path, errors: str = "strict") -> None:
        """Start before the first line.

        Args:
            path: the file.
            errors: what is done about bytes that are not UTF-8, as of ``bytes.decode``.
        """
        self.tail = Tail(path, open_as_utf8)
        self._errors = errors
        self.number = 0
        """Lines returned so far."""
        self._last = b""
        """The last of them."""
        self.damage = ""
        """Why nothing more is read, in a sentence; empty while the file is text."""
        self.note = ""
        """A sentence on the last number, if it was left out."""

    @property
    def behind(self) -> bool:
        """Whether the last read stopped at its limit, so that there is more."""
        return self.tail.behind and not self.damage

    def read(self, limit: int = CHUNK, *, final: bool = False) -> list[str]:
        """Return the new complete lines, with their line breaks; at the end also a cut off one.

        Args:
            limit: how many bytes to read at most.
            final: whether nothing more is written, so that the last line need not wait.

        Raises:
            OSError: if the file exists and cannot be read.
        """
        if self.damage:
            return []
        data = self.tail.read(limit)
        if self.tail.replaced or self.tail.rewritten:
            self.number = 0
        cut = len(data) if final and not self.tail.behind else data.rfind(b"\n") + 1
        self.tail.keep(data[cut:])
        # The only line so far may be a header: digits at its end belong to a name.
        is_header = not self._last and b"\n" not in data
        data = self._drop_half_lines(data[:cut])
        data = data if is_header else self._drop_cut_value(data)
        # The encoding drops the byte order mark that Excel puts at the start of a file.
        encoding = "utf-8-sig" if self.number == 0 else "utf-8"
        try:
            decoded = data.decode(encoding, self._errors)
        except UnicodeDecodeError as error:
            reason = f"byte {self.tail.start + error.start} is not UTF-8"
            self.damage = f"{self.tail.path} is not a text file: {reason}."
            return []
        lines = decoded.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        last = lines.pop()
        lines = [f"{line}\n" for line in lines] + [last] * bool(last)
        self.number += len(lines)
        return lines

    def _drop_half_lines(self, data: bytes) -> bytes:
        """Remove the half lines of killed programs from lines that begin at ``tail.start``."""
        # From the last one: what is removed moves the bytes behind it, not those above.
        for end, half in sorted(HALF_LINES.get(self.tail.path, {}).items(), reverse=True):
            behind = end - self.tail.start
            above, rest = data[: max(behind - len(half), 0)], data[max(behind, 0) :]
            before = above.splitlines()[-1] if above else self._last
            is_there = data[len(above) : behind] == half and above[-1:] in (b"", b"\n")
            # The program that continued may have had nothing left to write.
            if is_there and (not rest or _is_continued(before, half, rest.partition(b"\n")[0])):
                data = above + rest
        self._last = data.splitlines()[-1] if data else self._last
        return data

    def _drop_cut_value(self, data: bytes) -> bytes:
        """Remove the last number of a file without a line break behind it: it may lack digits."""
        cut = LAST_NUMBER.search(data.rpartition(b"\n")[2])
        if cut is None or WHOLE_LOGS.intersection([self.tail.path, *self.tail.path.parents]):
            return data
        self.note = (
            f"{self.tail.path} has no line break behind its last number, "
            f"{cut[0].decode(errors='replace')}, which may lack digits: it is left out."
        )
        return data[: -len(cut[0])]

    def read_numbered(self, limit: int, final: bool) -> Iterator[tuple[str, str]]:
        """Read at once, and yield each new line that is not blank with its location."""
        lines = self.read(limit, final=final)
        numbered = enumerate(lines, start=self.number - len(lines) + 1)
        return ((f"line {number}", line) for number, line in numbered if line.strip())

    def pin(self, count: int) -> None:
        """Expect the first lines of the file to stay as they are; see :attr:`Tail.top`."""
        with open_as_utf8(self.tail.path)[0] as file:
            self.tail.top = b"".join(islice(file, count))


def _is_continued(before: bytes, half: bytes, line: bytes) -> bool:
    """Return whether a line, and not with the half in front of it, follows the line before.

    Otherwise the program has ended the half first, or has written its log again: the half is the
    start of a sound line then.
    """
    # Lines of one table have equal numbers of each separator.
    shapes = [[text.count(mark) for mark in SEPARATORS] for text in (before, line, half + line)]
    if shapes[1] != shapes[0] or shapes[2] != shapes[0]:
        return shapes[1] == shapes[0]
    # Cut in its first cell: of both numbers the one that is nearer to that above.
    matches = [LEADING_NUMBER.match(text) for text in (before, line, half + line)]
    numbers = [float(match[0]) for match in matches if match]
    return len(numbers) == 3 and abs(numbers[1] - numbers[0]) < abs(numbers[2] - numbers[0])


class BrokenLines:
    """Distinguishes a line that was cut off from a file of another content.

    A program that is killed leaves half a line, since its output is written in blocks. Where it is
    continued from a checkpoint, its next line stands behind that half: one line is broken, and the
    next is sound. Two broken lines in a row are damage.
    """

    def __init__(self) -> None:
        """Start without any line."""
        self.damage = ""
        """A sentence on what is wrong with the log; empty while it is sound."""
        self.pending = ""
        """A sentence on what is wrong with the last line, until the next one decides."""
        self._first, self._count = "", 0

    def add_broken(self, sentence: str) -> None:
        """Record that a line does not fit, and why."""
        if self.pending:
            self.damage = self.pending
        self.pending = sentence

    def add_sound(self) -> None:
        """Record that a line fits: a broken one before it stands alone."""
        if self.pending:
            self._first, self._count = self._first or self.pending, self._count + 1
            self.pending = ""

    @property
    def note(self) -> str:
        """A sentence on the lines that were left out; empty if none was."""
        if self._count < 2:
            return self._first and f"{self._first} The line is left out."
        return f"{self._first} This line and {self._count - 1} more are left out."
