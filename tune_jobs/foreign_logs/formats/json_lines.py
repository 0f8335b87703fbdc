"""One JSON object a line, nested names joined by a slash."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from tune_jobs.foreign_logs.formats.log_reader import SEARCHED, LogReader, read_first_lines
from tune_jobs.foreign_logs.formats.point_files import PointFilesReader
from tune_jobs.foreign_logs.formats.points import Point
from tune_jobs.foreign_logs.formats.tail import BrokenLines, Lines
from tune_jobs.foreign_logs.log_record import Record, flatten, parse_json

FIRST = 20
"""Lines that are searched for a return: the first ones of a file may be its configuration."""
SPARSE = ("metrics.jsonl", "scores.jsonl")
STEP, EPISODE = "step", "episode/score"
"""Names in Dreamer's files of them (``embodied/core/logger.py``)."""


class JsonLinesReader(LogReader):
    """Lines of JSON of any tool, one for each iteration."""

    name = "JSON lines"
    needs_return = True
    endings = (".json", ".jsonl")

    def _open(self) -> None:
        self._lines = Lines(self.files[0])
        self._broken = BrokenLines()
        self._rows = 0

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names of the first metrics of a file."""
        return [name for names in _list_names(path, FIRST) for name in names]

    def _read_more(self, final: bool) -> list[Record]:
        lines = self._lines.read_numbered(self.limit, final)
        self.damage = self.damage or self._lines.damage
        records: list[Record] = []
        for place, line in lines:
            record = self._parse(place, line)
            self.damage = self.damage or self._broken.damage
            if self.damage:
                break
            if record is not None:
                records.append(record)
        self._rows += len(records)
        self.behind = self._lines.behind and not self.damage
        # A broken line is forgiven where it is the last one: the program died in the middle. A file
        # of one broken line is no log at all.
        if final and not self.behind and not self._rows:
            self.damage = self.damage or self._broken.pending
        self.left_out = self._broken.note
        return records

    def _parse(self, place: str, line: str) -> Record | None:
        try:
            data: object = parse_json(line.rstrip())
        except ValueError as error:
            self._broken.add_broken(f"{self.files[0]}, {place} is not JSON: {error}.")
            return None
        self._broken.add_sound()
        if not isinstance(data, dict):
            self.damage = (
                f"{self.files[0]}, {place} is not a JSON object but {line[:40].rstrip()!r}."
            )
            return None
        return Record(place, flatten(data))


class SparseLinesReader(PointFilesReader):
    """Lines with a step and some of the metrics each, such as Dreamer's: scores come by episode."""

    name = "sparse JSON lines"
    needs_return = True
    is_directory = False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has Dreamer's name for them, and lines that share no metric but the step."""
        lines = (
            [names for names in _list_names(path) if names] if path.name.endswith(SPARSE) else []
        )
        shared = set(lines[0]).intersection(*lines) if lines else set[str]()
        return STEP in shared and (len(shared) == 1 < len(lines) or EPISODE in lines[0])

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names of all metrics in the first lines."""
        return [name for names in _list_names(path) for name in names]

    @classmethod
    def parse(cls, name: str, line: str) -> list[Point]:
        """Return the metrics of a line; none where it is cut off or has no step."""
        with suppress(ValueError, KeyError, TypeError, OverflowError, AttributeError):
            values: dict[str, Any] = flatten(parse_json(line))
            step = int(values.pop(STEP))
            return [(n, step, v) for n, v in values.items() if isinstance(v, int | float)]
        return []

    def find_files(self) -> dict[Path, str]:
        """Return the one file, which has all metrics."""
        return {self.files[0]: ""}


class TuneResultsReader(JsonLinesReader):
    """The results that Ray Tune writes for each trial."""

    name = "Ray Tune result.json"
    needs_return = False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has the name of Tune's results, and not the content of another file."""
        if path.name != "result.json":
            return False
        with path.open("rb") as file:
            line = file.readline(SEARCHED)
        # Another tool's would hide the log in its folder; an empty or broken one may be Tune's.
        if line.strip() in (b"{", b"["):
            return False
        with suppress(ValueError):
            first: object = parse_json(line)
            return not isinstance(first, dict) or not first or "training_iteration" in first
        return True


def _list_names(path: Path, count: int | None = None) -> list[list[str]]:
    """Return the names in each of the first lines of a file."""
    names: list[list[str]] = []
    for line in read_first_lines(path)[:count]:
        with suppress(ValueError):
            data: object = parse_json(line)
            names.append(list(flatten(data)) if isinstance(data, dict) else [])
    return names
