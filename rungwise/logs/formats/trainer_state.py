"""``trainer_state.json`` of Transformers and TRL: written anew with each checkpoint."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rungwise.logs.formats.document import DocumentReader, read_json
from rungwise.logs.formats.log_reader import LogReader
from rungwise.logs.log_record import Record, flatten

NAME = "trainer_state.json"
HEAD = 4096
"""Characters of a trainer state in which its step stands."""
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_STEP = re.compile(r'"global_step":\s*(\d+)')


class TrainerStateReader(DocumentReader):
    """The history in the newest trainer state of a run."""

    name = "Transformers trainer_state.json"
    is_directory = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has the name of a trainer state."""
        return path.name == NAME

    @classmethod
    def open_all(
        cls, files: Sequence[Path], rename: Mapping[str, str], directory: Path
    ) -> list[LogReader]:
        """Return a reader for the run, unless a later checkpoint has the same history and more."""
        root = directory.parent if _CHECKPOINT.fullmatch(directory.name) else directory
        return [cls(files, rename, root)] if find_newest(root) == files[0] else []

    def find_document(self) -> Path | None:
        """Return the newest trainer state."""
        return find_newest(self.directory) if self.directory else self.files[0]

    def parse(self, path: Path) -> list[Record]:
        """Return the entries of the history."""
        history = [dict[str, object](entry) for entry in read_json(path)["log_history"]]
        # JSON has no NaN: Transformers writes null in its place.
        rows = [{n: math.nan if v is None else v for n, v in entry.items()} for entry in history]
        return [
            Record(f"entry {number}", flatten(row))
            for number, row in enumerate(rows, start=1)
            if "train_runtime" not in row  # the summary repeats means over the whole run
        ]


def find_newest(directory: Path) -> Path | None:
    """Return the newest trainer state of a run: that of its end, or of its last checkpoint."""
    states = [path for path in directory.glob(f"checkpoint-*/{NAME}")]
    numbered = {int(m[1]): p for p in states if (m := _CHECKPOINT.fullmatch(p.parent.name))}
    end = directory / NAME
    # A training that was continued after its end has checkpoints that are newer.
    if end.exists() and (not numbered or _read_step(end, max(numbered)) >= max(numbered)):
        return end
    return numbered[max(numbered)] if numbered else None


def _read_step(path: Path, default: int) -> int:
    """Return the step of a trainer state, which stands above its history."""
    with path.open(encoding="utf-8", errors="replace") as file:
        match = _STEP.search(file.read(HEAD))
    return int(match[1]) if match else default
