"""The first and the last row of an event log, read without the rows between them."""

from __future__ import annotations

from pathlib import Path

from tune_jobs.run_log.events import JobEndRow, JobRow, Row, decode_row

NOT_A_ROW = (ValueError, LookupError, TypeError, AttributeError)
"""Errors of decoding a line that is not an event row."""
TAIL_BYTES = 4096
"""Bytes at the end of a log that hold its last row: a job's end is far shorter."""


def read_log_ends(log: Path) -> tuple[JobRow | None, JobEndRow | None]:
    """Return the job row that a log begins with and the job's end that it closes with.

    The rows between them are not read: a log may have a million.
    """
    with log.open("rb") as file:
        first = file.readline()
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        last = file.read().rstrip().rpartition(b"\n")[2]
    job, end = decode_if_row(first), decode_if_row(last)
    return job if isinstance(job, JobRow) else None, end if isinstance(end, JobEndRow) else None


def decode_if_row(line: bytes) -> Row | None:
    """Return the event row on a line of a log; None if it holds none."""
    try:
        return decode_row(line)
    except NOT_A_ROW:
        return None
