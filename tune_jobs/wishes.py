"""What somebody wants of a run while it runs, left as files in its directory.

The driver looks for them after every result. So a run can be stopped from any machine that sees its
directory, whoever started it and wherever it runs.
"""

from __future__ import annotations

from pathlib import Path

JOB = "job"
"""Stands for the whole run where a trial's id may stand."""


def ask_to_stop(directory: Path, whom: str = JOB) -> None:
    """Let a trial, or the whole run, stop after its next result."""
    path = _wish(directory, whom)
    path.parent.mkdir(exist_ok=True)
    path.touch()


def asked_to_stop(directory: Path, whom: str = JOB) -> bool:
    """Whether a trial, or the whole run, is to stop."""
    return _wish(directory, whom).exists()


def forget(directory: Path, whom: str = JOB) -> None:
    """The wish is fulfilled, or no longer meant."""
    _wish(directory, whom).unlink(missing_ok=True)


def _wish(directory: Path, whom: str) -> Path:
    return directory / "stop" / whom
