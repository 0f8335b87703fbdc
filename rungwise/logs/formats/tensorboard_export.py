"""Tables that TensorBoard exports from its charts: ``run-PPO_1-tag-rollout_ep_rew_mean.csv``."""

from __future__ import annotations

import re
from pathlib import Path

from rungwise.logs.formats.delimited import DelimitedReader
from rungwise.logs.likely_return import may_be_return
from rungwise.logs.log_record import Record
from rungwise.logs.names.libraries import LIBRARIES

TAGS = {
    re.sub(r"\W", "_", name): name for library in reversed(LIBRARIES) for name in library.metrics
}
"""The tags of libraries, by how TensorBoard writes them in the name of a file."""


class TensorBoardExportReader(DelimitedReader):
    """One chart of one run, whose metric only the name of the file says."""

    name = "TensorBoard CSV"
    column = "Wall time"

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the name of its metric: of one that names none the return."""
        return [_find_tag(path) or "return_mean"]

    def _read_more(self, final: bool) -> list[Record]:
        file = self.files[0]
        if not _find_tag(file):
            self.note = f"{file} names no metric: its column Value is taken for the return."
        names = {"Step": "step", "Value": self.first_names(file)[0]}
        return [
            Record(r.location, {names[name]: r.values[name] for name in names if name in r.values})
            for r in super()._read_more(final)
        ]


def _find_tag(path: Path) -> str:
    """Return the tag that the name of a file has; empty where it may be that of a return."""
    _, named, tag = path.stem.rpartition("tag-")
    return TAGS.get(tag.casefold(), tag) if named else "" if may_be_return(tag) else tag
