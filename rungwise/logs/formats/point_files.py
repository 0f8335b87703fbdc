"""Folders with a text file for each metric, a line for each point: TorchRL's CSV and d3rlpy's."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from rungwise.logs.formats.log_reader import LogReader
from rungwise.logs.formats.points import Point, PointsReader
from rungwise.logs.formats.tail import Lines, open_text

FOLDER = "scalars"
RETURNS = ("rollout_return", "environment", "evaluation")
"""d3rlpy's names of a return: of a training, and of evaluators in its examples."""
BESIDE = ("params.json", "time_step.csv")
_BETWEEN = re.compile(r"[,\s]+")


class PointFilesReader(PointsReader):
    """The files of one run; a line that is no point is left out."""

    columns: ClassVar[Sequence[str]] = ()
    """The cells of a line, in their order: a step, a value and more."""

    def _open(self) -> None:
        super()._open()
        self._lines: dict[Path, Lines] = {}

    @classmethod
    def parse(cls, name: str, line: str) -> list[Point]:
        """Return the points of a line in the file of a metric."""
        cells = dict(zip(cls.columns, _BETWEEN.split(line), strict=False))
        try:
            return [(name, int(float(cells["step"])), float(cells["value"]))]
        except (KeyError, ValueError, OverflowError):  # a step that is infinite is none
            return []

    @classmethod
    def begins_with_point(cls, path: Path) -> bool:
        """Return whether the first line of a file is a point."""
        with open_text(path, "replace") as file:
            return bool(cls.parse("", file.readline()))

    @abstractmethod
    def find_files(self) -> dict[Path, str]:
        """Return the files that are there now and the names of their metrics."""

    def _read_points(self, final: bool) -> None:
        self.behind = False
        files = {} if self.damage else self.find_files()
        for file, name in files.items():
            lines = self._lines.setdefault(file, Lines(file))
            # Each file gets its part of the limit, so that the metrics stay side by side.
            added = lines.read(max(1, self.limit // len(files)), final=final)
            if lines.damage:
                self.damage, self.behind = lines.damage, False
                return
            # One source, since the files are of one run, and none repeats another.
            self._points.add("", [point for line in added for point in self.parse(name, line)])
            self.behind |= lines.behind


class ScalarFolderReader(PointFilesReader):
    """TorchRL's files below one folder ``scalars``, without a header.

    Part of a metric's name may be a folder.
    """

    name = "TorchRL CSV"
    columns = ("step", "value")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it lies below a folder of scalars and begins with a step and a value."""
        return path.suffix == ".csv" and FOLDER in path.parts and cls.begins_with_point(path)

    @classmethod
    def open_all(
        cls, files: Sequence[Path], rename: Mapping[str, str], directory: Path
    ) -> list[LogReader]:
        """Return one reader for the folder, when its first files are met."""
        root = find_root(files[0])
        first = min(path for path in root.rglob("*.csv") if cls.recognises(path))
        return [cls(files, rename, root)] if first in files else []

    def find_files(self) -> dict[Path, str]:
        """Return the files of the folder and the names of their metrics."""
        root = self.directory or find_root(self.files[0])
        files = sorted(root.rglob("*.csv")) if self.directory else self.files
        return {file: file.relative_to(root).with_suffix("").as_posix() for file in files}


class D3rlpyReader(PointFilesReader):
    """d3rlpy's files without a header (``logging/file_adapter.py``)."""

    name = "d3rlpy CSV"
    columns = ("epoch", "step", "value")
    joins_directory = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it begins with three numbers, in a folder of d3rlpy."""
        is_table = path.suffix == ".csv" and any((path.parent / name).exists() for name in BESIDE)
        return is_table and cls.begins_with_point(path)

    def find_files(self) -> dict[Path, str]:
        """Return the files of the folder and the names of their metrics."""
        paths = self.directory.glob("*.csv") if self.directory else self.files
        files = {file: file.stem for file in sorted(paths) if self.recognises(file)}
        score = next((name for name in RETURNS if name in files.values()), "")
        return {file: "return_mean" if name == score else name for file, name in files.items()}


def find_root(path: Path) -> Path:
    """Return the innermost folder of scalars that a file lies in."""
    return next(parent for parent in path.parents if parent.name == FOLDER)
