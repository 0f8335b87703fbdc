"""Find the log that a program writes, and read what is added to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rungwise.formatting import format_names
from rungwise.logs.discovery import find_in_directory, find_readers, list_columns
from rungwise.logs.formats import LogReader
from rungwise.logs.likely_return import advise_rename, find_likely_return
from rungwise.logs.log_record import Record
from rungwise.logs.log_rows import LogRows
from rungwise.logs.names.name_matching import match_metrics
from rungwise.validation import InputError
from tune_jobs.programs.log_places import LogPlaces, walk_files

SEARCH_S, SEARCH_SHARE = 0.5, 0.002
"""Time between two searches for logs, at least, and the share of a core that searches may take."""
FIRST_S, FIRST_SHARE = 60.0, 0.01
"""For how long a log may be looked for, read and judged more often, and the share for each: a short
run would be over before it is judged."""
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
        outside: where else it may log; None where it logs below the roots only.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        pattern: str = "",
        rename: Mapping[str, str] | None = None,
        since: float = 0,
        outside: LogPlaces | None = None,
    ) -> None:
        self.outside = outside
        self.roots, self.pattern, self.rename, self.since = roots, pattern, rename or {}, since
        self.chosen: LogReader | None = None
        """The log that is followed; None while there is none."""
        self.others: list[Path] = []
        """Logs that were found and are not followed."""
        self.unknown: dict[Path, list[str]] = {}
        """Tables of which no metric is known well enough to follow them, with their columns."""
        self._open_files: set[Path] = set()
        self._waiting: dict[Path, tuple[LogReader, list[Record]]] = {}
        self._first_found: float | None = None
        self._began = time.monotonic()
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

    def pause_after(self, took_s: float, share: float) -> float:
        """Return the pause after ``took_s`` CPU seconds of work that keeps to a share of a core."""
        is_new = time.monotonic() - self._began < FIRST_S
        return took_s / (max(share, FIRST_SHARE) if is_new else share)

    def _search(self) -> None:
        # In CPU time: on a machine that others use the log would be found late.
        started = time.process_time()
        for root in self.roots:
            if root.is_file():  # named as the log, so it need not look like one
                self._add_readers(find_readers(root, self.rename))
        by_folder: dict[Path, list[Path]] = {}
        for file in self.list_new_files():
            by_folder.setdefault(file.parent, []).append(file)
        for folder, files in by_folder.items():
            self._search_folder(folder, sorted(files))
        took = time.process_time() - started
        self._next_search = time.monotonic() + max(SEARCH_S, self.pause_after(took, SEARCH_SHARE))

    def _search_folder(self, folder: Path, files: list[Path]) -> None:
        """Add the logs of a folder; tables without a return only where no other log is in it."""
        for needs_return in (True, False):
            logs = find_in_directory(folder, files, self.rename, needs_return=needs_return)
            readers = [log for log in logs if isinstance(log, LogReader)]
            self._add_readers(readers)
            if readers:
                return
        self.unknown |= {file: names for file in files if (names := list_columns(file))}

    def _add_readers(self, readers: Iterable[LogReader]) -> None:
        for reader in readers:
            self._waiting.setdefault(reader.files[0], (reader, []))

    def list_new_files(self) -> list[Path]:
        """Return the files that may be logs and were written since the start."""
        files = [file for root in self.roots for file in self._list_below(root)]
        if self.outside is not None:
            self._open_files.update(self.outside.list_open_files())
            files += dict.fromkeys([*self._open_files, *self.outside.list_named_files()])
        return [file for file in files if self._is_new(file)]

    def _list_below(self, root: Path) -> list[Path]:
        if self.pattern:
            matches = list(root.glob(self.pattern))
            inside = [file for match in matches if match.is_dir() for file in match.iterdir()]
            return [file for file in (*matches, *inside) if file.is_file()]
        return list(walk_files(root))

    def _is_new(self, file: Path) -> bool:
        try:
            return file.stat().st_mtime >= self.since
        except OSError:
            return False  # deleted meanwhile

    def _choose(self, final: bool) -> list[Record]:
        """Choose the log to follow, if one can be; return what was read of it so far."""
        ranked = sorted(self._waiting.values(), key=lambda log: self._rank(*log), reverse=True)
        ranked = [(reader, records) for reader, records in ranked if records]
        if not ranked:
            return []
        now = time.monotonic()
        self._first_found = self._first_found if self._first_found is not None else now
        reader, records = ranked[0]
        has_return = self._rank(reader, records)[0]
        if not has_return and not final and now - self._first_found < DECIDED_S:
            return []
        self.chosen, self._waiting = reader, {}
        self.others = [other.files[0] for other, _ in ranked[1:]]
        return records

    def _rank(self, reader: LogReader, records: list[Record]) -> tuple[bool, bool, int]:
        """Return whether a log has a return, is surely the program's, and its known metrics."""
        names = {name for record in records for name in record.values}
        metrics = match_metrics(names, reader.rename).values()
        has_return = any(metric.name.startswith("return_mean") for metric in metrics)
        # The files in a folder that the command names may be another program's.
        is_own = self._open_files.issuperset(reader.files) or any(
            reader.files[0].is_relative_to(root) for root in self.roots
        )
        return has_return, is_own, len(metrics)


def explain_missing_log(follower: LogFollower, waited_s: float) -> str:
    """Return a sentence on a program that writes no log that can be judged."""
    if follower.unknown:
        path, names = next(iter(follower.unknown.items()))
        return (
            f"No log that can be judged was written in {waited_s:.0f} s: {path} has the columns "
            f"{format_names(names)}, of which none is known as a return. "
            f"{advise_rename(find_likely_return(names))}"
        )
    named = follower.outside.list_named() if follower.outside else []
    places = [*(Path(root, follower.pattern) for root in follower.roots), *named]
    where = " or ".join(map(str, places))
    return (
        f"No log that can be read was written to {where} in {waited_s:.0f} s. Say with --log which "
        "files the program logs to, or with --patience-s how long its first row takes."
    )


def explain_missing_score(rows: LogRows) -> str:
    """Return a sentence on a log in which no return is known."""
    return (
        f"No return column was found in {rows.path} ({format_names(rows.columns)}): only rules "
        f"that need none judge it. {advise_rename(rows.likely_return)}"
    )
