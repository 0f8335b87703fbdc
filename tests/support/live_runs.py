# pyright: basic
"""Runs under way: their processes, and the rows of logs that may not be there yet."""

import subprocess
from pathlib import Path
from typing import Any

from command_line import command

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import Row


def start(*words, cwd, **options: Any) -> subprocess.Popen[Any]:
    """Start ``rungwise``; what it prints is dropped unless an option says otherwise."""
    chosen: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    chosen |= options
    return subprocess.Popen(command(*words), cwd=cwd, **chosen)


def read_rows(run: Path, kind: Any = Row, trial: str | None = None) -> list[Any]:
    """The rows of a kind, of one trial or of all; none where the log is not there yet."""
    path = run / "events.jsonl"
    rows = [row for row in read_event_log(path) if isinstance(row, kind)] if path.exists() else []
    return [row for row in rows if trial in (None, getattr(row, "trial", None))]
