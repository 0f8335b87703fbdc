"""What somebody wants of a run while it runs, left as files in its directory.

The driver looks for them after every result, and all the time for those of trials that wait. So
any machine that sees a run's directory can stop it, whoever started it and wherever it runs.
"""

from __future__ import annotations

from pathlib import Path

JOB = "job"
"""Stands for the whole run where a trial's id may stand."""


def request_stop(directory: Path, target: str = JOB) -> None:
    """Let a trial, or the whole run, stop after its next result; one that waits stops at once."""
    path = _get_request_path(directory, target)
    path.parent.mkdir(exist_ok=True)
    path.touch()


def is_stop_requested(directory: Path, target: str = JOB) -> bool:
    """Whether a trial, or the whole run, is to stop."""
    return _get_request_path(directory, target).exists()


def list_stop_requests(directory: Path) -> list[str]:
    """The trials that are to stop, and :data:`JOB` if the whole run is."""
    folder = directory / "stop"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def clear_stop_request(directory: Path, target: str = JOB) -> None:
    """The wish is fulfilled, or no longer meant."""
    _get_request_path(directory, target).unlink(missing_ok=True)


def _get_request_path(directory: Path, whom: str) -> Path:
    return directory / "stop" / whom
