"""Replayed runs kept from one audit to the next, so that only new and changed logs are read."""

from __future__ import annotations

import functools
import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rungwise.cache_folder import get_cache_folder
from rungwise.logs.read_logs import LogSource
from tune_jobs.audit.replayed_run import JudgingOptions, ReplayedRun, ReplayedStop

PACKAGES = ("rungwise", "envs", "algos", "tune_jobs")
"""Folders with what a verdict depends on."""
LONGEST_WAIT_S = 5.0
"""For another audit that writes to the cache."""


class AuditCache:
    """The runs of each log by its path, the state of its files and how they were judged.

    A cache that cannot be used, on a full disk say, is as good as an empty one.
    """

    def __init__(self, options: JudgingOptions) -> None:
        self._states: dict[str, str] = {}
        """State of each log's files before it was read: rows may be added while it is."""
        self._how = _fingerprint_code() + json.dumps(asdict(options), sort_keys=True, default=str)
        folder = get_cache_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open(folder / "audit.sqlite")
        except (OSError, sqlite3.Error):
            self._open(":memory:")

    def _open(self, database: str | Path) -> None:
        # Each log is written at once: an audit that is interrupted has lost none, and another one
        # need not wait for its end.
        self._database = sqlite3.connect(database, timeout=LONGEST_WAIT_S, isolation_level=None)
        self._database.execute("pragma synchronous = off")  # what is lost is only judged again
        self._database.execute(
            "create table if not exists logs (log text primary key, state text, runs text)"
        )

    def find(self, name: str, source: LogSource) -> list[ReplayedRun] | None:
        """Return the runs of a log of this name; None if they are not known, or it has changed."""
        log = _identify(source)
        try:
            state = self._states[log] = self._describe_state(name, source)
            row = self._database.execute(
                "select runs from logs where log = ? and state = ?", (log, state)
            ).fetchone()
        except (OSError, sqlite3.Error):
            return None
        return None if row is None else [_load_run(fields) for fields in json.loads(row[0])]

    def keep(self, source: LogSource, runs: Sequence[ReplayedRun]) -> None:
        """Keep the runs of a log that was looked for before, and could be judged.

        Of others the reason may be gone soon.
        """
        log = _identify(source)
        if log not in self._states or not all(run.is_judged for run in runs):
            return
        try:
            row = (log, self._states[log], json.dumps([asdict(run) for run in runs]))
            self._database.execute("insert or replace into logs values (?, ?, ?)", row)
        except (OSError, sqlite3.Error):
            return

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _describe_state(self, name: str, source: LogSource) -> str:
        states = [(file.stat().st_size, file.stat().st_mtime_ns) for file in source.files]
        return hashlib.sha256(f"{name} {states} {self._how}".encode()).hexdigest()


def _identify(source: LogSource) -> str:
    """Return the path of a log, and which of the runs in it is meant."""
    return f"{source.files[0].resolve()} {getattr(source, 'label', '')}".strip()


def _load_run(fields: dict[str, Any]) -> ReplayedRun:
    stop = fields.pop("stop")
    for name in ("scores", "shares", "warned"):
        fields[name] = tuple(fields[name])
    return ReplayedRun(**fields, stop=stop and ReplayedStop(**stop))


@functools.cache
def _fingerprint_code() -> str:
    """Return what changes with any code or data of ours: older verdicts count no more."""
    # `__path__` would have the folders of users' packages of these names, too.
    folders = [Path(__file__).parents[2] / name for name in PACKAGES]
    files = [file for folder in folders for file in sorted(folder.rglob("*"))]
    digest = hashlib.sha256()
    for file in files:
        if file.suffix != ".pyc" and file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()
