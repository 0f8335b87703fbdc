"""Logs that are one document, which is written anew as a whole, such as SB3's evaluations."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.logs.formats.log_reader import LogReader
from rungwise.logs.formats.tail import open_text
from rungwise.logs.log_record import Record, list_names, parse_json

LARGEST = 100_000_000
"""Characters of a document that is read as a whole."""
BROKEN = (ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, OSError)
"""Errors of reading a document that is damaged, or of another content."""
ARRAYS = {
    "timesteps": "env_steps",
    "results": "return_mean",
    "ep_lengths": "episode_length",
    "successes": "success_rate",
}
"""SB3's arrays, by the metric that each is the mean of."""


class DocumentReader(LogReader):
    """A document that is read again when it has changed; rows that were returned are left out."""

    def _open(self) -> None:
        self._returned = 0
        self._version: tuple[Path, int, int] | None = None

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names in all rows; none where it is damaged, or of another content."""
        try:
            return list_names(cls([path]).parse(path))
        except BROKEN:
            return []

    def find_document(self) -> Path | None:
        """Return the file to read now."""
        return self.files[0]

    @abstractmethod
    def parse(self, path: Path) -> list[Record]:
        """Return all rows of the document; it may raise what damage raises."""

    def _read_more(self, final: bool) -> list[Record]:
        path = self.find_document()
        if path is None:
            return []
        state = path.stat()
        version = (path, state.st_mtime_ns, state.st_size)
        if version == self._version and not final:
            return []
        try:
            records = self.parse(path)
        except BROKEN as error:
            # Half-written while the run is at work: the next read finds it whole.
            why = str(error).rstrip(".")
            self.damage = f"{path} cannot be read as {self.name}: {why}." if final else ""
            return []
        self._version, self.files = version, [path]
        # A run that began again has fewer rows.
        first, self._returned = self._returned, len(records)
        return records[first if first <= len(records) else 0 :]


class EvaluationsReader(DocumentReader):
    """Returns [E, N] of N episodes in each of E evaluations.

    SB3's ``EvalCallback`` saves them (``common/callbacks.py``), with the lengths and, where the
    environment says so, the successes of the episodes.
    """

    name = "SB3 evaluations.npz"
    endings = ("evaluations.npz",)

    def parse(self, path: Path) -> list[Record]:
        """Return a row for each evaluation."""
        # No pickles: a file of a stranger could run code.
        with np.load(path, allow_pickle=False) as file:
            names = [name for name in ARRAYS if name in (*file.files, "results")]
            arrays = {name: np.asarray(file[name], float) for name in names}
        records: list[Record] = []
        for at, returns in enumerate(arrays["results"]):
            # Lengths and successes may have been logged in fewer evaluations.
            values = {ARRAYS[n]: float(a[at].mean()) for n, a in arrays.items() if at < len(a)}
            ends = {"return_min": float(returns.min()), "return_max": float(returns.max())}
            values |= {"return_std": float(returns.std()), "episodes": float(returns.size)} | ends
            records.append(Record(f"evaluation {at + 1}", values))
        return records


def read_json(path: Path) -> Any:
    """Return what a document says, also one that is packed; see ``BROKEN``."""
    packed = path.suffix == ".gz"
    with gzip.open(path, "rt", encoding="utf-8") if packed else open_text(path) as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} characters: write it as lines")
    return parse_json(text)
