"""Tables that TensorBoard and W&B export from their charts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tune_jobs.foreign_logs.formats.delimited import DelimitedReader
from tune_jobs.foreign_logs.formats.log_reader import LogReader, read_header
from tune_jobs.foreign_logs.formats.point_files import PointFilesReader
from tune_jobs.foreign_logs.likely_return import is_return, may_be_return
from tune_jobs.foreign_logs.log_record import Record
from tune_jobs.foreign_logs.names.libraries import LIBRARIES

TAGS = {
    re.sub(r"\W", "_", name): name for library in reversed(LIBRARIES) for name in library.metrics
}
"""The tags of libraries, by how TensorBoard writes them in the name of a file."""
_FILE = re.compile(r"(?:.*?run-(?P<run>.+)-)?tag-(?P<tag>.+)")


class TensorBoardExportReader(PointFilesReader):
    """The charts of one run, a file for each: ``run-PPO_1-tag-rollout_ep_rew_mean.csv``."""

    name = "TensorBoard CSV"
    needs_return = True
    is_directory = False
    columns = ("time", "step", "value")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has the columns of TensorBoard."""
        return path.suffix == ".csv" and read_header(path) == ["Wall time", "Step", "Value"]

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

    def find_files(self) -> dict[Path, str]:
        """Return the charts and their metrics: of one that names none the return."""
        tags = {file: _find_tag(file) for file in self.files}
        self.note = "".join(
            f"{file} names no metric: its column Value is taken for the return."
            for file, tag in tags.items()
            if not tag
        )
        return {file: tag or "return_mean" for file, tag in tags.items()}


class WandbExportReader(DelimitedReader):
    """A chart of W&B: columns ``run - metric``, each with two more for its extremes."""

    name = "W&B CSV"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has such columns."""
        return super().recognises(path) and bool(cls.first_names(path))

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names of the metrics."""
        return [metric for _, metric in _split_names(read_header(path)).values()]

    def _read_more(self, final: bool) -> list[Record]:
        records: list[Record] = []
        for record in super()._read_more(final):
            shared = {n: v for n, v in record.values.items() if " - " not in n}
            runs: dict[str, dict[str, object]] = {}
            # A cell is empty where the run has no value at the step of another one.
            for name, (run, metric) in _split_names(self._table.header).items():
                if name in record.values:
                    runs.setdefault(run, shared | {"run": run})[metric] = record.values[name]
            records += [Record(record.location, values) for values in runs.values()]
        return records


def _split_names(header: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the run and the metric of each column that has extremes."""
    parts = {name: name.rpartition(" - ") for name in header if f"{name}__MIN" in header}
    return {name: (run, metric) for name, (run, dash, metric) in parts.items() if dash}


def _find_tag(path: Path) -> str:
    """Return the tag that the name of a file has; empty where it says nothing."""
    match = _FILE.fullmatch(path.stem)
    tag = match["tag"] if match else path.stem
    known = TAGS.get(tag.casefold(), "")
    # A file that was renamed may be called by its metric, such as loss.csv.
    return known or (tag if match or is_return(tag) or not may_be_return(tag) else "")
