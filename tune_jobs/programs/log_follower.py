"""Find the log that a program writes, and read what is added to it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from envs.validation import InputError
from tune_jobs.health.logs.discovery import find_in_directory, find_readers
from tune_jobs.health.logs.formats import Reader
from tune_jobs.health.logs.names import match_metrics
from tune_jobs.health.logs.record import Record

SKIPPED = {"__pycache__", "node_modules", "site-packages"}
"""Folders that no program logs to, besides hidden ones."""
SEARCH_S, SEARCH_SHARE = 2.0, 0.002
"""Time between two searches for logs, at least, and the share of it that a search may take."""
DECIDED_S = 10.0
"""Seconds after the first log without a known return in which a better one may appear."""


class LogFollower:
    """The log of a program that runs: found among the files that it writes, then read.

    Of several logs the one with the most known metrics is followed, a return counting most.

    Args:
        roots: the folders below which the program logs, or the log itself.
        pattern: its files, as a pattern below a root; empty for any log.
        rename: names of the log, each with the catalogue's.
        since: when the program started, in seconds since 1970: older files are not its own.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        pattern: str = "",
        rename: Mapping[str, str] | None = None,
        since: float = 0,
    ) -> None:
        self.roots, self.pattern, self.rename, self.since = roots, pattern, rename or {}, since
        self.chosen: Reader | None = None
        """The log that is followed; None while there is none."""
        self.others: list[Path] = []
        """Logs that were found and are not followed."""
        self._waiting: dict[Path, tuple[Reader, list[Record]]] = {}
        self._first_found: float | None = None
        self._next_search = 0.0

    def poll(self, *, final: bool = False) -> list[Record]:
        """Return the records that were added since the last call.

        Args:
            final: whether the program has ended: nothing is held back.

        Raises:
            OSError: a log cannot be read.
            InputError: it is not what it seemed to be.
        """
        if self.chosen is not None:
            records = self.chosen.read(final=final)
            if self.chosen.damage and not records:
                raise InputError(self.chosen.damage)
            return records
        if final or time.monotonic() >= self._next_search:
            self._search()
        for reader, records in self._waiting.values():
            records += reader.read(final=final)
            if reader.damage and reader.files[0] in self.roots:
                raise InputError(reader.damage)
        return self._choose(final)

    @property
    def behind(self) -> bool:
        """Whether there is more to read at once."""
        return self.chosen is not None and self.chosen.behind

    def _search(self) -> None:
        started = time.monotonic()
        for root in self.roots:
            if root.is_file():  # named as the log, so it need not look like one
                self._add_readers(find_readers(root, self.rename))
        by_place: dict[Path, list[Path]] = {}
        for file in self._list_new_files():
            by_place.setdefault(file.parent, []).append(file)
        for place, files in by_place.items():
            found = find_in_directory(place, sorted(files), self.rename)
            self._add_readers(log for log in found if isinstance(log, Reader))
        took = time.monotonic() - started
        self._next_search = time.monotonic() + max(SEARCH_S, took / SEARCH_SHARE)

    def _add_readers(self, readers: Iterable[Reader]) -> None:
        for reader in readers:
            self._waiting.setdefault(reader.files[0], (reader, []))

    def _list_new_files(self) -> list[Path]:
        """Return the files that may be logs and were written since the start."""
        below = (file for root in self.roots for file in self._list_below(root))
        return [file for file in below if self._is_new(file)]

    def _list_below(self, root: Path) -> list[Path]:
        if self.pattern:
            found = list(root.glob(self.pattern))
            inside = [file for folder in found if folder.is_dir() for file in folder.iterdir()]
            return [file for file in (*found, *inside) if file.is_file()]
        files: list[Path] = []
        for place, inner, names in os.walk(root):
            inner[:] = [name for name in inner if name[0] != "." and name not in SKIPPED]
            # A run of ours is not the log of the program, and may hold another program's output.
            if "job.yaml" in names and "events.jsonl" in names and Path(place) != root:
                inner.clear()
                continue
            files += [Path(place, name) for name in names]
        return files

    def _is_new(self, file: Path) -> bool:
        try:
            return file.stat().st_mtime >= self.since
        except OSError:
            return False  # deleted meanwhile

    def _choose(self, final: bool) -> list[Record]:
        """Choose the log to follow, if one can be; return what was read of it so far."""
        ranked = sorted(self._waiting.values(), key=lambda log: _rank(*log), reverse=True)
        ranked = [(reader, records) for reader, records in ranked if records]
        if not ranked:
            return []
        now = time.monotonic()
        self._first_found = self._first_found if self._first_found is not None else now
        reader, records = ranked[0]
        has_return = _rank(reader, records)[0]
        if not has_return and not final and now - self._first_found < DECIDED_S:
            return []
        self.chosen, self._waiting = reader, {}
        self.others = [other.files[0] for other, _ in ranked[1:]]
        return records


def _rank(reader: Reader, records: list[Record]) -> tuple[bool, int]:
    """Return whether a log has a return, and how many of its metrics are known."""
    names = {name for record in records for name in record.values}
    known = match_metrics(names, reader.rename).values()
    return any(ours.name.startswith("return_mean") for ours in known), len(known)


def explain_missing_log(follower: LogFollower, waited_s: float) -> str:
    """Return a sentence on a program that writes no log."""
    where = " or ".join(str(Path(root, follower.pattern)) for root in follower.roots)
    return (
        f"No log that can be read was written to {where} in {waited_s:.0f} s. Say with --log which "
        "files the program logs to, or with --patience-s how long its first row takes."
    )
