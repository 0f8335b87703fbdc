"""Files of lines: CSV with a header row, and one JSON object a line."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

from envs.validation import InputError
from tune_jobs.health.logs.translation import Record, flatten

EMPTY = {"", "none", "null", "na", "n/a", "-"}
"""Cells that say that there is no value. NaN is not among them."""
_LEADING = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)+")
"""Comments and blank lines above the header row."""


def read_csv(path: Path) -> list[Record]:
    """The rows of a CSV file; a last one that was cut off while it was written is left out.

    Raises:
        InputError: if there is no header row, or a line does not fit it.
    """
    records, damage = read_csv_above_damage(path)
    if damage:
        raise InputError(damage)
    return records


def read_csv_above_damage(path: Path) -> tuple[list[Record], str]:
    """The rows of a CSV file above the first line that does not fit the header.

    Returns:
        the rows, and what is wrong with that line; empty if there is none.

    Raises:
        InputError: if there is no header row.
    """
    text = _text(path)
    above = _LEADING.match(text)
    skipped = above[0].count("\n") if above else 0
    body = text[above.end() if above else 0 :]
    # Counted in the header only, because cells may hold lists with commas.
    delimiter = max(",;\t", key=body.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter)
    records: list[Record] = []
    cells: list[str] = []
    header: list[str] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header)
        for cells in reader:
            place = f"line {skipped + reader.line_num}"
            if not any(cells) or [cell.strip() for cell in cells] == header:
                continue  # a blank line, or the header of a run appended to this one
            # The columns changed during the run: from here on values would stand under wrong names.
            if len(cells) > len(header):
                wrong = f"has {len(cells)} cells, but the header has {len(header)}"
                return records, f"{path}, {place} {wrong}."
            records.append(Record(place, _cells(header, cells)))
    except csv.Error as error:
        return records, f"{path}, line {skipped + reader.line_num} is broken: {error}."
    # A last line without its line break is still being written, and its last number may lack
    # digits.
    if records and len(cells) < len(header) and not text.endswith("\n"):
        records.pop()
    return records, ""


def read_json_lines(path: Path) -> list[Record]:
    """The objects of a file with one a line, nested names joined by a slash.

    A last line that was cut off while it was written is left out.

    Raises:
        InputError: if any other line is no JSON object.
    """
    lines = _text(path).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            data: Any = json.loads(line)
        except ValueError as error:
            # The last line of a live run may be incomplete; a file of one broken line is no log at
            # all.
            if number == len(lines) > 1:
                break
            raise InputError(f"{path}, line {number} is not JSON: {error}.") from None
        if not isinstance(data, dict):
            raise InputError(f"{path}, line {number} is not a JSON object but {line[:40]!r}.")
        records.append(Record(f"line {number}", flatten(data)))
    return records


def header_of(path: Path) -> list[str]:
    """The first line's names; empty for a file that is not one of lines."""
    try:
        # The encoding drops the byte order mark that Excel puts before the first name.
        with path.open(encoding="utf-8-sig") as file:
            return next(csv.reader(line for line in file if not line.startswith("#")), [])
    except (UnicodeDecodeError, csv.Error):
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file: byte {error.start} is not UTF-8.") from None


def _check_header(path: Path, header: list[str]) -> None:
    if header and all(isinstance(_value(name), float) for name in header):
        raise InputError(
            f"{path} has no header row: its first line is {','.join(header)[:60]!r}. Put the names "
            "of the columns there, e.g. step,return."
        )


def _cells(header: list[str], cells: list[str]) -> dict[str, object]:
    # Not strict: the last cells of a line may be missing.
    named = zip(header, cells, strict=False)
    return {name: value for name, cell in named if (value := _value(cell)) is not None}


def _value(cell: str) -> object:
    cell = cell.strip()
    if cell.casefold() in EMPTY:
        return None
    try:
        # float also parses nan and inf, which are evidence of divergence and stay.
        return float(cell)
    except ValueError:
        pass
    try:
        return json.loads(cell) if cell.startswith("[") else cell
    except ValueError:
        return cell
