"""Tables with a header row, delimited by commas, semicolons or tabs."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import ClassVar

from rungwise.logs.formats.log_reader import (
    LogReader,
    is_above_header,
    read_header,
    split_header,
)
from rungwise.logs.formats.tail import BrokenLines, Lines
from rungwise.logs.log_record import Record, list_chart_columns, parse_json

_DECIMAL_COMMA = re.compile(r"^(\s*[-+]?\d+),(\d+(?:[eE][-+]?\d+)?\s*)$")
EMPTY = {"", "none", "null", "na", "n/a", "-"}
"""Cells that say that there is no value. NaN is not among them."""


class DelimitedFile:
    """The rows that are added to one table; the header may come again and is no row."""

    def __init__(self, path: Path) -> None:
        """Start above the header."""
        self.path = path
        self.comment = ""
        """The comments and blank lines above the header."""
        self.damage = ""
        """Why nothing more is read, in a sentence; empty while the table is sound."""
        self.broken = BrokenLines()
        """The lines that do not fit the header."""
        self.behind = False
        self._lines = Lines(path)
        self._waiting: list[str] = []
        self._forget()
        self._rows_to_skip = 0

    def _forget(self) -> None:
        self.comment, self.header, self._delimiter = "", list[str](), ","
        self._number = self._rows = 0
        self.broken.pending = ""
        self._held: Record | None = None
        self._numeric: set[str] | None = None
        self._waiting.clear()

    @property
    def note(self) -> str:
        """A sentence or two on what was left out; empty if nothing was."""
        return " ".join(filter(None, (self.broken.note, self._lines.note)))

    def read(self, limit: int, final: bool) -> list[Record]:
        """Return the rows of at most `limit` new bytes; see :meth:`LogReader.read`.

        Raises:
            OSError: if the file cannot be read.
        """
        self.behind = False
        if self.damage:
            return []
        lines, tail = self._lines.read(limit, final=final), self._lines.tail
        self.behind, self.damage = self._lines.behind, self._lines.damage
        # A new header above the same rows: those that were returned lack only empty cells.
        if tail.rewritten:
            self._rows_to_skip = self._rows
        if tail.replaced or tail.rewritten:
            self._forget()
        if not self.header:
            lines = self._read_header(lines)
        if not self.header:
            return []  # the comments above it may fill a whole read
        records = self._read_rows([*self._waiting, *lines], final and not self.behind)
        self.behind &= not self.damage
        skipped = min(self._rows_to_skip, len(records))
        self._rows_to_skip -= skipped
        return records[skipped:]

    def _read_header(self, lines: list[str]) -> list[str]:
        """Take the lines up to the header off and return the others."""
        for at, line in enumerate(lines):
            self._number += 1
            if is_above_header(line):
                self.comment += line
                continue
            self._delimiter, self.header = split_header(line)
            if all(isinstance(_parse_cell(name), float) for name in self.header):
                self.damage = (
                    f"{self.path} has no header row: its first line is "
                    f"{','.join(self.header)[:60]!r}. Put the names of the columns there, e.g. "
                    "step,return."
                )
            self._lines.pin(self._number)
            return lines[at + 1 :]
        return []

    def _read_rows(self, lines: list[str], final: bool) -> list[Record]:
        if self.damage:
            return []
        # A cell in quotes may hold line breaks: its row is complete when the quotes are closed.
        complete = len(lines) if final else _count_complete(lines)
        self._waiting = lines[complete:]
        text = "".join(lines[:complete])
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter)
        records: list[Record] = []
        cells: list[str] = []
        try:
            for cells in reader:
                location = f"line {self._number + reader.line_num}"
                if not any(cells) or [cell.strip() for cell in cells] == self.header:
                    continue  # a blank line, or the header of a run appended to this one
                if self._is_header(cells):
                    self.header, self._numeric = [cell.strip() for cell in cells], None
                    continue
                # Two in a row: the columns changed, and values would stand under wrong names.
                if len(cells) > len(self.header):
                    wrong = f"has {len(cells)} cells, but the header has {len(self.header)}"
                    self.broken.add_broken(f"{self.path}, {location} {wrong}.")
                    if self.broken.damage:
                        break
                    continue
                records += self._check_row(Record(location, self._name_cells(cells)))
        except csv.Error as error:
            line = self._number + reader.line_num
            self.damage = f"{self.path}, line {line} is broken: {error}."
        self._number += complete
        if final and self._held:
            records.append(self._held)
            self._held = None
        # A kill cut it off; a line of which only the last value is cut has as many cells.
        if records and len(cells) < len(self.header) and text and not text.endswith("\n"):
            records.pop()
        self._rows += len(records)
        # A table of which no row fits is none, however short it is.
        is_misfit = final and not self._rows
        self.damage = self.damage or self.broken.damage or (self.broken.pending * is_misfit)
        return records

    def _name_cells(self, cells: list[str]) -> dict[str, object]:
        # The last cells of a line may be missing: hence not strict.
        named = zip(self.header, cells, strict=False)
        if self._delimiter == ";":  # as Excel writes it where the comma is the decimal point
            named = ((name, _DECIMAL_COMMA.sub(r"\1.\2", cell)) for name, cell in named)
        return {name: value for name, cell in named if (value := _parse_cell(cell)) is not None}

    def _is_header(self, cells: list[str]) -> bool:
        """Return whether a row names the columns anew: a restarted script appends to its log."""
        names = {cell.strip() for cell in cells}
        shared = len(names & set(self.header))
        return len(names) == len(cells) and 2 * shared > len(cells) and shared > 1

    def _check_row(self, row: Record) -> list[Record]:
        """Return the rows that are known to be sound with this one.

        Text among numbers is half a line and the next one behind it, unless more of it follows.
        """
        if self._numeric is None:
            self._numeric = {name for name, cell in row.values.items() if isinstance(cell, float)}
        texts = {n for n, cell in row.values.items() if isinstance(cell, str)} & self._numeric
        held, self._held = self._held, None
        if not texts:
            self.broken.add_sound()
        elif held is None:
            name = min(texts)
            wrong = f"{row.location} has {row.values[name]!r} in the column {name} of numbers"
            self.broken.add_broken(f"{self.path}, {wrong}.")
            self._held = row
            return []
        else:
            self._numeric -= texts
            self.broken.pending = ""
            return [held, row]
        return [row]


class DelimitedReader(LogReader):
    """A table of any tool, a row for each iteration."""

    name = "CSV"
    needs_return = True
    endings = (".csv", ".tsv", "progress.txt", "scores.txt")
    readable_above_damage = True
    column: ClassVar[str] = ""
    """A column that only tables of this tool have; empty for those of any tool."""

    def _open(self) -> None:
        self._table = DelimitedFile(self.files[0])

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has the ending of a table, not of SB3's episodes, and its column."""
        is_table = super().recognises(path) and not path.name.endswith("monitor.csv")
        # Tune, SB3 and others all write a progress.csv: the columns decide.
        return is_table and (not cls.column or cls.column in read_header(path))

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names of the columns, of a chart of W&B those of its metrics."""
        names = read_header(path)
        return [column[1] for column in list_chart_columns(names).values()] or names

    def _read_more(self, final: bool) -> list[Record]:
        records = self._table.read(self.limit, final)
        self.behind, self.damage = self._table.behind, self._table.damage
        self.left_out = self._table.note
        return records


class TuneTableReader(DelimitedReader):
    """The table that Ray Tune writes for each trial."""

    name = "Ray Tune progress.csv"
    needs_return = False
    column = "training_iteration"


def _count_complete(lines: list[str]) -> int:
    """Return how many of the lines stand before one whose quotes are still open."""
    complete, quotes = 0, 0
    for number, line in enumerate(lines, start=1):
        quotes += line.count('"')
        if quotes % 2 == 0:
            complete = number
    return complete


def _parse_cell(cell: str) -> object:
    cell = cell.strip()
    if cell.casefold() in EMPTY:
        return None
    if cell in ("True", "False"):
        return cell == "True"
    try:
        # float also parses nan and inf, which are evidence of divergence and stay.
        return float(cell)
    except ValueError:
        pass
    try:
        return parse_json(cell) if cell.startswith("[") else cell
    except ValueError:
        return cell
