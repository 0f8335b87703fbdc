"""Logs that are one document, written anew as a whole: SB3's evaluations and Sacred's metrics."""

from __future__ import annotations

import zipfile
import zlib
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from tune_jobs.foreign_logs.formats.log_reader import LogReader
from tune_jobs.foreign_logs.formats.points import Points
from tune_jobs.foreign_logs.log_record import Record, parse_json
from tune_jobs.health.improvement import FloatArray

LARGEST = 100_000_000
"""Bytes of a document that is read as a whole."""
BROKEN = (ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, OSError)
"""What reading a document raises where it is damaged, or of another content."""


class DocumentReader(LogReader):
    """A document that is read again when it has changed; rows that were returned are left out."""

    def _open(self) -> None:
        self._returned = 0
        self._version: tuple[int, int] | None = None

    @abstractmethod
    def parse(self, path: Path, final: bool) -> list[Record]:
        """Return all rows of the document; it may raise what damage raises."""

    def _read_more(self, final: bool) -> list[Record]:
        path = self.files[0]
        state = path.stat()
        version = (state.st_mtime_ns, state.st_size)
        if version == self._version and not final:
            return []
        try:
            records = self.parse(path, final)
        except BROKEN as error:
            # Half-written while the run is at work: the next read finds it whole.
            why = str(error).rstrip(".")
            self.damage = f"{path} cannot be read as {self.name}: {why}." if final else ""
            return []
        self._version = version
        # A run that began again has fewer rows.
        first = self._returned if self._returned <= len(records) else 0
        self._returned = len(records)
        return records[first:]


class EvaluationsReader(DocumentReader):
    """Returns [E, N] of N episodes in each of E evaluations.

    SB3's ``EvalCallback`` saves them (``common/callbacks.py``), with the lengths and, where the
    environment says so, the successes of the episodes.
    """

    name = "SB3 evaluations.npz"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has the name of SB3's file, or its arrays."""
        if path.suffix != ".npz" or path.name.endswith("evaluations.npz"):
            return path.suffix == ".npz"
        try:
            with zipfile.ZipFile(path) as arrays:
                return {"timesteps.npy", "results.npy"} <= set(arrays.namelist())
        except (zipfile.BadZipFile, ValueError):
            return False

    def parse(self, path: Path, final: bool) -> list[Record]:
        """Return a row for each evaluation."""
        # Not pickled: a file of a stranger could run code.
        with np.load(path, allow_pickle=False) as arrays:
            if not {"timesteps", "results"} <= set(arrays.files):
                raise ValueError(f"it has the arrays {', '.join(arrays.files) or 'of none'}")
            columns = {name: _split(arrays[name]) for name in arrays.files}
        steps, lengths = columns["timesteps"].ravel(), columns.get("ep_lengths")
        successes = columns.get("successes")
        records: list[Record] = []
        for at, (step, returns) in enumerate(zip(steps, columns["results"], strict=True)):
            values = {
                "env_steps": float(step),
                "return_mean": float(returns.mean()),
                "return_std": float(returns.std()),
                "return_min": float(returns.min()),
                "return_max": float(returns.max()),
                "episodes": float(returns.size),
            }
            if lengths is not None and at < len(lengths):
                values["episode_length"] = float(lengths[at].mean())
            if successes is not None and at < len(successes):
                values["success_rate"] = float(successes[at].mean())
            records.append(Record(f"evaluation {at + 1}", values))
        return records


class SacredReader(DocumentReader):
    """The metrics of a run of Sacred: steps and values (``observers/file_storage.py``)."""

    name = "Sacred metrics.json"
    needs_return = True
    is_directory = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has the name and the content of Sacred's file."""
        return path.name == "metrics.json" and bool(cls.first_names(path))

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names of the metrics."""
        if path.stat().st_size > LARGEST:
            return []
        try:
            return list(_read_sacred(path))
        except (ValueError, LookupError, TypeError):
            return []

    def parse(self, path: Path, final: bool) -> list[Record]:
        """Return the iterations; the last one may get more metrics while the run is at work."""
        points = Points(self.rename)
        for name, metric in _read_sacred(path).items():
            pairs = zip(metric["steps"], metric["values"], strict=False)
            points.add("", [(name, int(step or 0), float(value)) for step, value in pairs])
        records = points.take(final=True)
        return records if final else records[:-1]


def _split(array: Any) -> FloatArray:
    """Return an array of evaluations as numbers [E, N]."""
    numbers = np.asarray(array, float)
    return numbers.reshape(len(numbers), -1)


def _read_sacred(path: Path) -> dict[str, Any]:
    """Return Sacred's metrics; raises a ValueError or a TypeError for another content."""
    data: Any = parse_json(path.read_bytes())
    if not all(
        isinstance(m["steps"], list) and isinstance(m["values"], list) for m in data.values()
    ):
        raise ValueError("its metrics have no steps and values")
    return data
