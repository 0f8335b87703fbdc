"""Text that a program prints: lines with a dict or with ``step:N - name:value``, or a sentence.

TRL prints a dict at each logging step, verl a line of pairs, ML-Agents a sentence; Ray puts the
name of the process before it. A progress bar on the same line ends with a carriage return, which
counts as a line end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from rungwise.logs.formats.log_reader import LogReader, read_first_lines
from rungwise.logs.formats.tail import Lines
from rungwise.logs.log_record import Record, list_names

ENDINGS = (".log", ".txt", ".out", ".err")
FIRST = 20
"""Records that are searched for a return."""
NUMBER = r"[-+]?(?:\d+(?:_\d+)*\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf|NaN|Infinity)"
_DICT = re.compile(r"\{'[^{}]*\}")
# Transformers 5 puts its numbers into quotes, and None in the place of what is not finite; NumPy 2
# puts its scalars into the name of their type.
_DICT_ITEM = re.compile(rf"'([^']+)': ('?)(?:np\.\w+\()?({NUMBER}|None)\)?\2(?=[,}}])")
_PAIRS = re.compile(rf"(?:^|[\s)])step:(\d+) - (?=\S+:(?:np\.\w+\()?{NUMBER})")
_PAIR = re.compile(rf"([^\s:]+):(?:np\.\w+\()?({NUMBER})\)?(?= - |\s*$)")
# Unity ML-Agents (``trainers/stats.py``): "3DBall. Step: 1000. Time Elapsed: 9.1 s. Mean Reward:
# 1.2. Std of Reward: 0.7."
_UNITY = re.compile(
    rf"(\S+?)[.:] Step: (\d+)\..*? Mean Reward: ({NUMBER})\..*? Std of Reward: ({NUMBER})"
)
COLOUR = re.compile(r"\x1b\[[\d;]*m")


class ConsoleReader(LogReader):
    """The output of a program that was written to a file."""

    name = "console"
    needs_return = True

    def _open(self) -> None:
        # Metrics are ASCII: what else a program prints may have any encoding.
        self._lines = Lines(self.files[0], errors="replace")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a text file with metrics among its first lines."""
        return path.name.endswith(ENDINGS) and bool(cls.first_names(path))

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names in the first records: some of them may lack a return."""
        records = cls([path]).parse((("", line) for line in read_first_lines(path)), final=True)
        return list_names(islice(records, FIRST))

    def _read_more(self, final: bool) -> list[Record]:
        lines = self._lines.read_numbered(self.limit, final)
        self.behind, self.damage = self._lines.behind, self._lines.damage
        return list(self.parse(lines, final and not self.behind))

    def parse(self, lines: Iterable[tuple[str, str]], final: bool) -> Iterator[Record]:
        """Yield the records that are complete with some more lines, each with its location."""
        for location, line in lines:
            values = parse_line(line)
            # The summary of the Trainer repeats means over the whole run.
            if values and "train_runtime" not in values:
                yield Record(location, values)


def parse_line(line: str) -> dict[str, Any]:
    """Return the metrics that a line has; empty for any other line."""
    line = COLOUR.sub("", line)
    if unity := _UNITY.search(line):
        # Several behaviours that are trained together are runs of their own.
        values = {"Environment/Cumulative Reward": float(unity[3]), "return_std": float(unity[4])}
        return {"run": unity[1], "step": float(unity[2])} | values
    pairs = _PAIRS.search(line)
    if pairs is not None:
        values = {name: float(value) for name, value in _PAIR.findall(line[pairs.end() :])}
        return {"step": float(pairs[1])} | values
    # The words of a sample or a traceback hold dicts too: of metrics they have at least two.
    printed = _DICT.search(line)
    items = _DICT_ITEM.findall(printed[0]) if printed else []
    metrics = [(name, value.replace("None", "nan")) for name, _, value in items]
    return {name: float(value) for name, value in metrics} if len(items) > 1 else {}
