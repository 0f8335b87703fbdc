"""The protocol of the formats: what recognises a log and reads what is added to it."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from rungwise.logs.formats.tail import CHUNK, open_text
from rungwise.logs.log_record import Record

SEARCHED = 1_000_000
"""Characters of a file that are searched for metrics: programs print their settings before."""


class LogReader(ABC):
    """One log: the files that one run writes in one format, read as they grow."""

    name: ClassVar[str]
    """The format as `doctor` calls it, e.g. ``SB3 progress.csv``."""
    endings: ClassVar[tuple[str, ...]] = ()
    """Ends of the names of its files."""
    needs_return: ClassVar[bool] = False
    """Whether files of other content have this form too: of those in a folder, only one that logs a
    return is taken for a log."""
    is_directory: ClassVar[bool] = False
    """Whether the log is called by its directory, since file names say nothing."""
    joins_directory: ClassVar[bool] = False
    """Whether all of its files in one directory are of one run; else each is a run."""
    readable_above_damage: ClassVar[bool] = False
    """Whether the records above a damaged line are judged; else the log is refused."""

    def __init__(
        self,
        files: Sequence[Path],
        rename: Mapping[str, str] | None = None,
        directory: Path | None = None,
        label: str = "",
    ) -> None:
        """Open a log.

        Args:
            files: the files of the run that are known, at least one.
            rename: names that the caller gives to those of the log.
            directory: where more files of the run may appear; None to read only these.
            label: which of the runs in the files, if they hold several.
        """
        self.files = list(files)
        self.rename = rename or {}
        self.directory = directory
        self.label = label
        self.limit = CHUNK
        """Bytes that one read takes at most, unless it is the final one."""
        self.behind = False
        """Whether the last read stopped at the limit: the next need not wait."""
        self.damage = ""
        """A sentence on why nothing more is read; empty while the log is sound."""
        self.left_out = ""
        """A sentence on lines that were cut off and are left out; empty if none is."""
        self.note = ""
        """A sentence on how the log was read, where that is not plain; empty if it is."""
        self._open()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a file has this format: by its name, then by its content."""
        return path.name.endswith(cls.endings)

    @classmethod
    def open_all(
        cls, files: Sequence[Path], rename: Mapping[str, str], directory: Path
    ) -> list[LogReader]:
        """Return a reader for each run of some files of this format, all in one directory."""
        if cls.joins_directory:
            return [cls(files, rename, directory)]
        return [cls([file], rename) for file in files]

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names of the first metrics of a file; asked where a return is needed."""
        return []

    def read(self, *, final: bool = False) -> list[Record]:
        """Return the records that were added since the last call.

        Args:
            final: whether the run is over: everything is read, whatever its size, and nothing is
                held back, such as a line without its line break or an iteration that may still get
                more metrics.

        Raises:
            OSError: if a file cannot be read.
        """
        records = self._read_more(final)
        while final and self.behind:
            records += self._read_more(final)
        return self._assemble(records, final)

    @abstractmethod
    def _open(self) -> None:
        """Start above the first record."""

    @abstractmethod
    def _read_more(self, final: bool) -> list[Record]:
        """Read at most `limit` bytes, and set `behind` and `damage`: never both."""

    def _assemble(self, records: list[Record], final: bool) -> list[Record]:
        """Return the iterations that are complete with these records."""
        return records


def read_first_lines(path: Path) -> list[str]:
    """Return the first complete lines of a file, whatever its size and content."""
    with open_text(path, "replace") as file:
        text = file.read(SEARCHED)
    # A line that is longer than all that was read is none that a logger wrote.
    return text[: text.rfind("\n") + 1].splitlines() if len(text) == SEARCHED else text.splitlines()


def read_header(path: Path) -> list[str]:
    """Return the names in the header of a table; empty for a file that is not text."""
    try:
        with open_text(path) as file:
            line = next((line for line in file if not is_above_header(line)), "")
            return split_header(line)[1]
    except (UnicodeDecodeError, csv.Error):
        return []


def is_above_header(line: str) -> bool:
    """Return whether a line may stand above the header of a table.

    It is a comment, blank, or names the separator of the cells for Excel: ``sep=;``.
    """
    text = line.strip(' \t\r\n"')
    return not text or text.startswith("#") or (text[:4].lower() == "sep=" and len(text) < 6)


def split_header(line: str) -> tuple[str, list[str]]:
    """Return the delimiter of a table and the names of its columns.

    Raises:
        csv.Error: the line is no row of a table.
    """
    # Counted in the header only, because cells may hold lists with commas.
    delimiter = max(",;\t", key=line.count)
    cells = next(csv.reader([line], delimiter=delimiter), [])
    return delimiter, [name.strip() for name in cells]
