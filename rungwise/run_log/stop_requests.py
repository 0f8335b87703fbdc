"""Stop requests for a running job, stored as files in the run directory.

The driver looks for them after every result, and at every step for those of waiting trials. Any
machine that can write the run directory can stop the run.
"""

from __future__ import annotations

import os
from pathlib import Path

JOB = "job"
"""Name of the request that stops the whole run, in the place of a trial's id."""


def request_stop(directory: Path, target: str = JOB) -> None:
    """Request the end of a trial, or of the run, after its next result.

    A trial that waits at a rung ends at once.
    """
    path = _get_request_path(directory, target)
    path.parent.mkdir(exist_ok=True)
    path.touch()


def is_stop_requested(directory: Path, target: str = JOB) -> bool:
    """Return whether the end of a trial, or of the whole run, is requested."""
    # Asked after every result, and `exists` of a path takes three times as long.
    return os.access(_get_request_path(directory, target), os.F_OK)


def list_stop_requests(directory: Path) -> list[str]:
    """List the trials with a stop request, and :data:`JOB` for the whole run."""
    folder = directory / "stop"
    return sorted(path.name for path in folder.iterdir()) if os.access(folder, os.F_OK) else []


def clear_stop_request(directory: Path, target: str = JOB) -> None:
    """Delete a request that is served or withdrawn."""
    _get_request_path(directory, target).unlink(missing_ok=True)


def _get_request_path(directory: Path, target: str) -> Path:
    return directory / "stop" / target
