"""Tables that TensorBoard exports from its charts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tune_jobs.foreign_logs.formats.log_reader import LogReader, read_header
from tune_jobs.foreign_logs.formats.point_files import PointFilesReader
from tune_jobs.foreign_logs.likely_return import is_return, may_be_return
from tune_jobs.foreign_logs.names.libraries import LIBRARIES
from tune_jobs.foreign_logs.names.name_matching import match_metrics

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


def _find_tag(path: Path) -> str:
    """Return the tag that the name of a file has; empty where it says nothing."""
    match = _FILE.fullmatch(path.stem)
    words = (match["tag"] if match else path.stem).split("_")
    # A file that was renamed may end with the name of its metric, such as ppo_loss.csv.
    tags = ["_".join(words[at:]) for at in range(1 if match else len(words))]
    known = [TAGS.get(tag.casefold(), tag * bool(match_metrics([tag], {}))) for tag in tags]
    named = [tag for tag in tags[:1] if match or is_return(tag) or not may_be_return(tag)]
    return next(filter(None, [*known, *named]), "")
