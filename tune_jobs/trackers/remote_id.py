"""The id of a trial in a tracker's store, which runs of all machines share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tune_jobs.run_log.events import JobRow, Row


def get_remote_prefix(directory: Path, rows: Iterable[Row]) -> str:
    """Return the part of the ids that all trials of a run share, the same in every session.

    Names of run directories repeat, on another machine or after one was deleted; only the random
    id in the log keeps two runs apart. The logs of earlier versions have none.
    """
    first = next((row for row in rows if isinstance(row, JobRow)), None)
    return first.id if first and first.id else directory.absolute().name
