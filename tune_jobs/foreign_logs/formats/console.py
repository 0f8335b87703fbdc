"""Text that a program prints: lines with a dict or with ``step:N - name:value``.

TRL prints a dict at each logging step, verl a line of pairs; Ray puts the name of the process
before it. A progress bar on the same line ends with a carriage return, which counts as a line end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from envs.validation import InputError
from tune_jobs.foreign_logs.formats.reader import Reader, read_first_lines
from tune_jobs.foreign_logs.formats.tail import Lines
from tune_jobs.foreign_logs.record import Record

ENDINGS = (".log", ".txt", ".out", ".err")
_NUMBER = r"[-+]?(?:\d+(?:_\d+)*\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf|NaN|Infinity)"
_DICT = re.compile(r"\{'[^{}]*\}")
# Transformers 5 puts its numbers into quotes, and None in the place of what is not finite.
_DICT_ITEM = re.compile(rf"'([^']+)': '?({_NUMBER}|None)'?(?=[,}}])")
_PAIRS = re.compile(rf"(?:^|[\s)])step:(\d+) - (?=\S+:(?:np\.\w+\()?{_NUMBER})")
_PAIR = re.compile(rf"([^\s:]+):(?:np\.\w+\()?({_NUMBER})\)?(?= - |\s*$)")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


class ConsoleReader(Reader):
    """The output of a program that was written to a file."""

    name = "console"
    needs_return = True

    def _open(self) -> None:
        self._lines = Lines(self.files[0])

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a text file with metrics among its first lines."""
        return path.name.endswith(ENDINGS) and bool(cls.first_names(path))

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names in the first line that has metrics."""
        lines = map(parse_line, read_first_lines(path))
        return next((list(values) for values in lines if values), [])

    def _read_more(self, final: bool) -> list[Record]:
        self.behind = False
        if self.damage:
            return []
        try:
            lines = self._lines.read(self.limit, final=final)
        except InputError as error:
            self.damage = str(error)
            return []
        self.behind = self._lines.tail.behind
        return list(_parse_lines(lines, self._lines.number - len(lines)))


def parse_line(line: str) -> dict[str, float]:
    """Return the metrics that a line has; empty for any other line."""
    line = _COLOUR.sub("", line)
    pairs = _PAIRS.search(line)
    if pairs is not None:
        values = {name: float(value) for name, value in _PAIR.findall(line[pairs.end() :])}
        return {"step": float(pairs[1])} | values
    # The words of a sample or a traceback hold dicts too: of metrics they have at least two.
    printed = _DICT.search(line)
    items = _DICT_ITEM.findall(printed[0]) if printed else []
    known = [(name, value.replace("None", "nan")) for name, value in items]
    return {name: float(value) for name, value in known} if len(items) > 1 else {}


def _parse_lines(lines: Iterable[str], before: int) -> Iterable[Record]:
    for number, line in enumerate(lines, start=before + 1):
        values = parse_line(line)
        # The summary of the Trainer repeats means over the whole run.
        if values and "train_runtime" not in values:
            yield Record(f"line {number}", values)
