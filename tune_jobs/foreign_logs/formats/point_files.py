"""Folders with a text file for each metric, a line for each point."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from envs.validation import InputError
from tune_jobs.foreign_logs.formats.points import Points
from tune_jobs.foreign_logs.formats.reader import Reader
from tune_jobs.foreign_logs.formats.tail import Lines
from tune_jobs.foreign_logs.record import Record


class PointFilesReader(Reader):
    """The files of one run; a line that is no point is left out."""

    is_directory = True

    def _open(self) -> None:
        self._points = Points(self.rename)
        self._lines: dict[Path, Lines] = {}

    @classmethod
    @abstractmethod
    def parse(cls, line: str) -> tuple[int, float] | None:
        """Return the step and the value of a line; None if it has none."""

    @abstractmethod
    def find_files(self) -> dict[Path, str]:
        """Return the files that are there now and the names of their metrics."""

    def _read_more(self, final: bool) -> list[Record]:
        self.behind = False
        if self.damage:
            return []
        files = self.find_files()
        for file, name in files.items():
            lines = self._lines.setdefault(file, Lines(file))
            try:
                # Each file gets its part of the limit, so that the metrics stay side by side.
                added = lines.read(max(1, self.limit // len(files)), final=final)
            except InputError as error:
                self.damage = str(error)
                return []
            points = [point for line in added if (point := self.parse(line)) is not None]
            # Of one source, since the files are of one run, and none repeats another.
            self._points.add("", [(name, step, value) for step, value in points])
            self.behind |= lines.tail.behind
        return []

    def _assemble(self, records: list[Record], final: bool) -> list[Record]:
        return self._points.take(final)
