"""Tables that TensorBoard and W&B export from their charts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tune_jobs.foreign_logs.formats.delimited import DelimitedFile, DelimitedReader
from tune_jobs.foreign_logs.formats.log_reader import LogReader, read_header
from tune_jobs.foreign_logs.formats.points import PointsReader
from tune_jobs.foreign_logs.likely_return import is_return, may_be_return
from tune_jobs.foreign_logs.log_record import Record
from tune_jobs.foreign_logs.names.libraries import LIBRARIES

HEADER = ["Wall time", "Step", "Value"]
"""Of TensorBoard's table of one chart of one run."""
TAGS = {
    re.sub(r"\W", "_", name): name for library in reversed(LIBRARIES) for name in library.metrics
}
"""The tags of libraries, by how TensorBoard writes them in the name of a file."""
_FILE = re.compile(r"(?:.*?run-(?P<run>.+)-)?tag-(?P<tag>.+)")
_EXTREMES = ("__MIN", "__MAX")


class TensorBoardExportReader(PointsReader):
    """The charts of one run, a file for each: ``run-PPO_1-tag-rollout_ep_rew_mean.csv``."""

    name = "TensorBoard CSV"
    needs_return = True
    is_directory = False

    def _open(self) -> None:
        super()._open()
        self._tables = {file: DelimitedFile(file) for file in self.files}
        unnamed = [file for file in self.files if not _find_tag(file)]
        self.note = "".join(
            f"{file} names no metric: its column Value is taken for the return." for file in unnamed
        )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has the columns of TensorBoard."""
        return path.suffix == ".csv" and read_header(path) == HEADER

    @classmethod
    def open_all(
        cls, files: Sequence[Path], rename: Mapping[str, str], directory: Path
    ) -> list[LogReader]:
        """Return a reader for each run, with all of its charts that are there."""
        runs: dict[str, list[Path]] = {}
        for file in sorted(file for file in directory.glob("*.csv") if cls.recognises(file)):
            match = _FILE.fullmatch(file.stem)
            runs.setdefault((match and match["run"]) or file.stem, []).append(file)
        # A chart without a tag has no others of its run.
        return [
            cls(charts, rename, None, run * (len(charts) > 1))
            for run, charts in runs.items()
            if set(charts) & set(files)
        ]

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the name of its metric."""
        return [_find_tag(path) or "return_mean"]

    def _read_points(self, final: bool) -> None:
        self.behind = False
        for file, table in self._tables.items():
            records = table.read(max(1, self.limit // len(self._tables)), final)
            tag = _find_tag(file) or "return_mean"
            rows = [tuple(record.values.get(name) for name in HEADER[1:]) for record in records]
            points = [
                (tag, int(step), value)
                for step, value in rows
                if isinstance(step, float) and isinstance(value, float) and step.is_integer()
            ]
            self._points.add("", points)
            self.behind |= table.behind
            self.damage = self.damage or table.damage


class WandbExportReader(DelimitedReader):
    """A chart of W&B: a column for each run and metric, and two for its extremes."""

    name = "W&B CSV"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has columns ``run - metric`` with their extremes."""
        return super().recognises(path) and bool(_split_columns(read_header(path)))

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names of the metrics."""
        return [metric for _, metric in _split_columns(read_header(path)).values()]

    def _read_more(self, final: bool) -> list[Record]:
        records: list[Record] = []
        for record in super()._read_more(final):
            columns = _split_columns(self._table.header)
            shared = {n: v for n, v in record.values.items() if " - " not in n}
            runs: dict[str, dict[str, object]] = {}
            for name, (run, metric) in columns.items():
                if name in record.values:
                    runs.setdefault(run, shared | {"run": run})[metric] = record.values[name]
            # Empty where a run has no value at the step of another one.
            records += [Record(record.location, values) for values in runs.values()]
        return records


def _split_columns(header: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the run and the metric of each column that has extremes."""
    names = set(header)
    own = [n for n in header if not n.endswith(_EXTREMES) and n + _EXTREMES[0] in names]
    parts = {name: name.rpartition(" - ") for name in own}
    return {name: (run, metric) for name, (run, dash, metric) in parts.items() if dash}


def _find_tag(path: Path) -> str:
    """Return the tag that the name of a file has; empty where it says nothing."""
    match = _FILE.fullmatch(path.stem)
    tag = match["tag"] if match else path.stem
    known = TAGS.get(tag.casefold(), "")
    # A file that was renamed may be called by its metric, such as loss.csv.
    return known or (tag if match or is_return(tag) or not may_be_return(tag) else "")
