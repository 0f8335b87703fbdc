"""TorchRL's CSV folder: a file without a header for each metric, with lines ``step,value``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tune_jobs.foreign_logs.formats.point_files import PointFilesReader
from tune_jobs.foreign_logs.formats.reader import Reader

FOLDER = "scalars"


class ScalarFolderReader(PointFilesReader):
    """The files below one folder ``scalars``; part of a metric's name may be a folder."""

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
    ) -> list[Reader]:
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


def find_root(path: Path) -> Path:
    """Return the innermost folder of scalars that a file lies in."""
    return next(parent for parent in path.parents if parent.name == FOLDER)
