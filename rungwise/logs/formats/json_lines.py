"""One JSON object a line, nested names joined by a slash."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rungwise.logs.formats.log_reader import SEARCHED, LogReader, read_first_lines
from rungwise.logs.formats.tail import BrokenLines, Lines
from rungwise.logs.log_record import Record, flatten, parse_json

FIRST = 200
"""Lines that are searched for a return: the first ones may be a configuration, or of updates alone,
as Dreamer logs them."""


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
        names: list[str] = []
        for line in read_first_lines(path)[:FIRST]:
            with suppress(ValueError):
                data: object = parse_json(line)
                names += flatten(data) if isinstance(data, dict) else []
        return names

    def _read_more(self, final: bool) -> list[Record]:
        lines = self._lines.read_numbered(self.limit, final)
        self.damage = self.damage or self._lines.damage
        records: list[Record] = []
        for location, line in lines:
            record = self._parse(location, line)
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

    def _parse(self, location: str, line: str) -> Record | None:
        try:
            data: object = parse_json(line.rstrip())
        except ValueError as error:
            self._broken.add_broken(f"{self.files[0]}, {location} is not JSON: {error}.")
            return None
        self._broken.add_sound()
        if not isinstance(data, dict):
            self.damage = (
                f"{self.files[0]}, {location} is not a JSON object but {line[:40].rstrip()!r}."
            )
            return None
        return Record(location, flatten(data))


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
