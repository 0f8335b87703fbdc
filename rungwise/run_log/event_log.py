"""Write and read the log of a run, ``events.jsonl``.

A line is strict JSON. A number that is not finite is written as null, and ``nonfinite`` holds its
path and its value (``["metrics", "kl", "inf"]``): other readers find plain types, and
:func:`decode_row` restores the number.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from rungwise.run_log.events import LOG_VERSION, EndRow, JobEndRow, JobRow, Row, VideoRow
from rungwise.run_log.json_types import convert_to_json
from rungwise.run_log.log_file import append_line, open_log
from rungwise.validation import InputError, InputWarning

KINDS: dict[str, type[Row]] = {row.kind: row for row in get_args(Row)}
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""Errors of decoding a line that is no event row."""
STRICT_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
"""Strict JSON has no NaN: other readers (jq, a browser) would reject the whole line."""
FIRST_BLOCK = 4096
"""Bytes that are read first from the end of a log; most ends fit."""
RESULT_LINE = re.compile(
    rb'\{"kind": "result", "time": [-+.\deE]+, "trial": "([^"\\]*)", "iteration": (\d{1,18}), '
    rb'"score": ([-+.\deE]+|null), "seconds": ([-+.\deE]+), "env_steps": (\d{1,18}), '
    rb'.*, "stagnant": \d{1,18}, "stage_since": \d{1,18}(?:, "node": "[^"]*")?'
    rb'(?:, "nonfinite": \[\[.*\]\])?\}$'
)


class ResultHead(NamedTuple):
    """The first fields of a result row."""

    trial: str
    iteration: int
    score: float
    """NaN where there is none."""
    seconds: float
    env_steps: int


class EventLog:
    """An event log opened for appending, safe against kills and several writers."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, row: Row) -> None:
        """Append one row; at most the last line of the log can be partial."""
        append_line(self.path, encode_row(row).encode() + b"\n")


def encode_row(row: Row) -> str:
    """Return a row as one line of strict JSON, without the newline."""
    # vars, not dataclasses.asdict, which would copy every metric. Nearly all rows need no more.
    with suppress(TypeError, ValueError):
        return STRICT_JSON.encode({"kind": row.kind, **vars(row)})
    fields, nonfinite = convert_to_json(vars(row))
    return STRICT_JSON.encode(
        {"kind": row.kind, **fields} | ({"nonfinite": nonfinite} if nonfinite else {})
    )


def read_event_log(path: str | Path) -> list[Row]:
    """Return every row of a log, in the order written.

    The last line may be partial, because its writer was killed or is at work: it is left out. Other
    lines that are no rows are left out with one warning, which names the first of them.

    Raises:
        InputError: if there is no such file, or a later version of Rungwise wrote it.
    """
    try:
        # Bytes, and only newlines: splitlines would also split at U+2028 inside a text.
        with open_log(Path(path)) as file:
            lines = file.read().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"There is no {path}: a run directory has an events.jsonl, so check the path."
        ) from None
    while lines and not lines[-1].strip():
        lines.pop()
    rows: list[Row] = []
    damaged: list[tuple[int, Exception]] = []
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                rows.append(decode_row(line))
        except InputError as error:
            raise InputError(f"{path} cannot be read: {error}") from None
        except UNREADABLE as error:
            # The last line may still be being written, so it is no damage.
            if number < len(lines):
                damaged.append((number, error))
    if damaged:
        warnings.warn(f"{path}: {_describe_damage(damaged)}.", InputWarning, stacklevel=2)
    return rows


def _describe_damage(damaged: list[tuple[int, Exception]]) -> str:
    """Describe the lines of a log that are no rows, given as numbers from 1 and errors."""
    number, error = damaged[0]
    if len(damaged) == 1:
        return f"line {number} is not an event row and is left out ({error})"
    lines = f"{len(damaged):,} lines are not event rows and are left out"
    return f"{lines}, the first is line {number} ({error})"


def decode_row(line: bytes) -> Row:
    """Return the row that a line of a log holds; one of UNREADABLE is raised where it is none.

    Raises:
        InputError: a later version of Rungwise wrote the log.
    """
    data = json.loads(line)
    for *path, last, word in data.pop("nonfinite", ()):
        container = data
        for key in path:
            container = container[key]
        container[last] = float(word)
    row = KINDS[data.pop("kind")]
    if row is JobRow and (version := data.get("version", 1)) > LOG_VERSION:
        raise InputError(
            f"it is of version {version}, and this version of Rungwise reads logs up to version "
            f"{LOG_VERSION}. Install a later one."
        )
    types, fields = _list_field_types(row), dict[str, Any]()
    for name, value in data.items():
        # A later version may have added fields: an older reader still shows what it knows.
        if expected := types.get(name):
            # Any program may write a whole number as 3.0.
            if type(value) is float and float not in expected and value.is_integer():
                value = int(value)
            is_bool = isinstance(value, bool) and bool not in expected
            limit = sys.float_info.max if float in expected else 2**63 - 1  # as arrays hold them
            is_large = isinstance(value, int) and abs(value) > limit
            if is_bool or is_large or not isinstance(value, expected):
                raise TypeError(f"{name} is {json.dumps(value):.40}, which is not of its type")
            fields[name] = value
    return row(**fields)


@functools.cache
def _list_field_types(row: type[Row]) -> dict[str, tuple[type, ...]]:
    """List the types that the fields of a row may have; those inside of a field are not checked."""
    types: dict[str, tuple[type, ...]] = {}
    for name, hint in get_type_hints(row).items():
        options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        plain = {get_origin(option) or option for option in options}
        # Any program may write a float as 3.
        plain |= {int} if float in plain else set[type]()
        types[name] = (object, bool, float) if Any in plain else (*plain,)
    return {field.name: types[field.name] for field in dataclasses.fields(row)}


def decode_row_or_none(line: bytes) -> Row | None:
    """Return the row that a line of a log holds; None where a killed writer cut the line off."""
    try:
        return decode_row(line)
    except InputError:
        raise
    except UNREADABLE:
        return None


def read_result_head(line: bytes) -> ResultHead | None:
    """Read only the head of a result row, some twenty times as fast as :func:`decode_row`.

    Returns:
        None for rows of any other kind, for results that another program wrote, and for those cut
        short by a full disk, after which the next append began a new line.
    """
    # The pattern follows the order of fields in ResultRow; a test holds the two together.
    # The metrics, by far the longest part of a line, are not parsed at all.
    if not (match := RESULT_LINE.match(line)):
        return None
    try:
        score = math.nan if match[3] == b"null" else float(match[3])
        head = ResultHead(match[1].decode(), int(match[2]), score, float(match[4]), int(match[5]))
        return head if math.isfinite(head.seconds) else None
    except ValueError:  # e.g. 1-2, which the pattern takes for a number
        return None


def read_log_ends(path: Path) -> tuple[JobRow | None, JobEndRow | None]:
    """Read only the job row that a log begins with and the job's end that it closes with.

    Each is None where that part of the log is damaged: a list of runs shows the others, too.
    """
    job = None
    with suppress(InputError), open_log(path) as file:
        job = decode_row_or_none(file.readline())
    return job if isinstance(job, JobRow) else None, read_job_end(path)


def read_job_end(path: Path, start: int = 0) -> JobEndRow | None:
    """Read only the job's end that a log closes with.

    Args:
        path: of the log.
        start: bytes at the beginning of the log that are left out.

    Returns:
        None while the driver is at work, or where it was killed.
    """
    with suppress(InputError):  # the older part of the log is missing: its end is not known
        return _find_job_end(_read_lines_backwards(path, start))
    return None


def _find_job_end(backwards: Iterator[bytes]) -> JobEndRow | None:
    for index, line in enumerate(backwards):
        row = decode_row_or_none(line)
        if isinstance(row, JobEndRow):
            return row
        # Videos are recorded after the end, and a request to resume a trial ends it anew. Half a
        # line at the end is one of these, too: a driver begins with a whole row, that of its job.
        is_half = row is None and index == 0
        if not is_half and not isinstance(row, VideoRow | EndRow):
            return None
    return None


def _read_lines_backwards(path: Path, start: int) -> Iterator[bytes]:
    """Yield the lines of a file after a byte, the last one first, without its other lines."""
    with open_log(path) as file:
        position, rest, block = file.seek(0, os.SEEK_END), b"", FIRST_BLOCK
        while position > start:
            size = min(block, position - start)
            position -= size
            file.seek(position)
            rest, *lines = (file.read(size) + rest).split(b"\n")
            yield from (line for line in reversed(lines) if line.strip())
            block *= 2  # a line of megabytes is not put together from thousands of blocks
    if rest.strip():
        yield rest
