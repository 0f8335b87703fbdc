"""MLflow: a folder for each run with a file for each metric, or a database of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from rungwise.logs.formats.log_reader import LogReader
from rungwise.logs.formats.point_files import PointFilesReader
from rungwise.logs.formats.points import PointsReader

ROWS = 100_000
"""Points that one read of a database takes at most."""
_MAGIC = b"SQLite format 3\0"


class MlflowFolderReader(PointFilesReader):
    """A run in the file store, with its points in ``metrics/NAME``."""

    name = "MLflow run"
    columns = ("time", "value", "step")
    joins_directory = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it describes a run: an experiment has the same file, but no run."""
        if path.name != "meta.yaml":
            return False
        return "run_id:" in path.read_text(encoding="utf-8", errors="replace")

    def find_files(self) -> dict[Path, str]:
        """Return the files of the run's metrics and their names, in which a folder is a part."""
        root = self.files[0].parent / "metrics"
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {file: file.relative_to(root).as_posix() for file in files}


class MlflowDatabaseReader(PointsReader):
    """A run in a database; the file may hold many."""

    name = "MLflow database"
    is_directory = False

    def _open(self) -> None:
        super()._open()
        self._row = 0
        self._run = self.label or next(iter(_list_runs(self.files[0])), "")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a database with the tables of MLflow."""
        if path.suffix not in (".db", ".sqlite", ".sqlite3"):
            return False
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC and bool(_list_runs(path))

    @classmethod
    def open_all(
        cls, files: Sequence[Path], rename: Mapping[str, str], directory: Path
    ) -> list[LogReader]:
        """Return a reader for each run with metrics."""
        return [cls([f], rename, directory, run) for f in files for run in _list_runs(f)]

    def _read_points(self, final: bool) -> None:
        query = (
            "SELECT rowid, key, step, CASE WHEN is_nan THEN NULL ELSE value END FROM metrics "
            "WHERE run_uuid = ? AND rowid > ? ORDER BY rowid LIMIT ?"
        )
        try:
            with closing(_connect(self.files[0])) as database:
                rows = database.execute(query, (self._run, self._row, ROWS)).fetchall()
        except sqlite3.DatabaseError as error:
            self.damage, self.behind = f"{self.files[0]} cannot be read: {error}.", False
            return
        self._row = rows[-1][0] if rows else self._row
        nan = float("nan")
        self._points.add("", [(key, step, nan if v is None else v) for _, key, step, v in rows])
        self.behind = len(rows) == ROWS


def _connect(path: Path) -> sqlite3.Connection:
    # Read-only: a connection of the usual kind would create a file that is missing.
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def _list_runs(path: Path) -> list[str]:
    """Return the ids of the runs with metrics; empty for another database."""
    try:
        with closing(_connect(path)) as database:
            rows = database.execute("SELECT run_uuid FROM metrics GROUP BY 1 ORDER BY MIN(rowid)")
            return [run for (run,) in rows]
    except sqlite3.DatabaseError:
        return []
