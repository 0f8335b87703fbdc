"""Folders with a text file for each metric, a line for each point: TorchRL's CSV and d3rlpy's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from tune_jobs.foreign_logs.formats.log_reader import LogReader
from tune_jobs.foreign_logs.formats.points import PointsReader
from tune_jobs.foreign_logs.formats.tail import Lines

FOLDER = "scalars"
RETURNS = ("rollout_return", "environment", "evaluation")
"""d3rlpy's names of a return: of a training, and of evaluators in its examples."""


class PointFilesReader(PointsReader):
    """The files of one run; a line that is no point is left out."""

    def _open(self) -> None:
        super()._open()
        self._lines: dict[Path, Lines] = {}

    @classmethod
    @abstractmethod
    def parse(cls, line: str) -> tuple[int, float] | None:
        """Return the step and the value of a line; None if it has none."""

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
            points = [point for line in added if (point := self.parse(line)) is not None]
            # Of one source, since the files are of one run, and none repeats another.
            self._points.add("", [(name, step, value) for step, value in points])
            self.behind |= lines.behind


class ScalarFolderReader(PointFilesReader):
    """TorchRL's files below one folder ``scalars``, without a header, with lines ``step,value``.

    Part of a metric's name may be a folder.
    """

    name = "TorchRL CSV"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it lies below a folder of scalars and begins with a step and a value."""
        if path.suffix != ".csv" or FOLDER not in path.parts:
            return False
        with path.open(encoding="utf-8", errors="replace") as file:
            return cls.parse(file.readline()) is not None

    @classmethod
    def open_all(
        cls, files: Sequence[Path], rename: Mapping[str, str], directory: Path
    ) -> list[LogReader]:
        """Return one reader for the folder, when its first files are met."""
        root = find_root(files[0])
        first = min(path for path in root.rglob("*.csv") if cls.recognises(path))
        return [cls(files, rename, root)] if first in files else []

    @classmethod
    def parse(cls, line: str) -> tuple[int, float] | None:
        """Return the step and the value of a line."""
        step, _, value = line.partition(",")
        try:
            return int(float(step)), float(value)
        except (ValueError, OverflowError):  # a step that is infinite is none
            return None

    def find_files(self) -> dict[Path, str]:
        """Return the files of the folder and the names of their metrics."""
        root = self.directory or find_root(self.files[0])
        files = sorted(root.rglob("*.csv")) if self.directory else self.files
        return {file: file.relative_to(root).with_suffix("").as_posix() for file in files}


class D3rlpyReader(PointFilesReader):
    """d3rlpy's files with lines ``epoch,step,value`` beside its params.json.

    See ``d3rlpy/logging/file_adapter.py``.
    """

    name = "d3rlpy CSV"
    joins_directory = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it begins with three numbers, and its settings lie beside it."""
        if path.suffix != ".csv" or not (path.parent / "params.json").exists():
            return False
        with path.open(encoding="utf-8", errors="replace") as file:
            return cls.parse(file.readline()) is not None

    @classmethod
    def parse(cls, line: str) -> tuple[int, float] | None:
        """Return the step and the value of a line; a histogram has more numbers."""
        try:
            _, step, value = line.split(",")
            return int(step), float(value)
        except ValueError:
            return None

    def find_files(self) -> dict[Path, str]:
        """Return the files of the folder and the names of their metrics."""
        found = self.directory.glob("*.csv") if self.directory else self.files
        files = {file: file.stem for file in sorted(found) if self.recognises(file)}
        score = next((name for name in RETURNS if name in files.values()), "")
        return {file: "return_mean" if name == score else name for file, name in files.items()}


def find_root(path: Path) -> Path:
    """Return the innermost folder of scalars that a file lies in."""
    return next(parent for parent in path.parents if parent.name == FOLDER)
