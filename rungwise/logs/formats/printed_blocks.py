"""Blocks of lines that programs print at each iteration: boxes of SB3 and Baselines, and RSL-RL's.

A box has a row ``| key | value |`` for each metric between lines of dashes; in SB3's a row without
a value is a section, whose metrics are indented (``common/logger.py`` of both). RSL-RL prints
``Learning iteration 12/1500`` and a line for each metric (``utils/logger.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from rungwise.logs.formats.console import COLOUR, NUMBER, ConsoleReader
from rungwise.logs.likely_return import is_return
from rungwise.logs.log_record import Record

_ROW = re.compile(r"(?:[^|]*\s)?\|([^|]*)\|([^|]*)\|\s*$")
_DASHES = re.compile(r"(?:^|\s)-{10,}\s*$")
_NUMBER = re.compile(NUMBER)
_START = re.compile(r"Learning iteration (\d+)/\d+")
_PAIR = re.compile(rf"^\s*([A-Za-z][^:]*):\s+({NUMBER})(?=s?(?:\s|$))")
_LOSS = re.compile(r"(?:mean )?([\w ]+) loss", re.IGNORECASE)
_OF_RSL_RL = {
    "mean reward": "Train/mean_reward",
    "mean episode length": "Train/mean_episode_length",
    "mean action noise std": "Policy/mean_noise_std",
    "total timesteps": "env_steps",
    "total steps": "env_steps",
}
"""The names that RSL-RL prints and its tags for them, or ours where it has none."""


class PrintedBlocksReader(ConsoleReader):
    """Blocks in the output of a program that was written to a file."""

    name = "printed blocks"

    def _open(self) -> None:
        super()._open()
        self._section = ""
        self._kind: Literal["", "box", "RSL-RL"] = ""
        self._location, self._values = "", dict[str, object]()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a text file with a block among its first lines."""
        # A box of something else may stand above lines with the metrics.
        return super().recognises(path) and (
            any(map(is_return, cls.first_names(path))) or not ConsoleReader.recognises(path)
        )

    def parse(self, lines: Iterable[tuple[str, str]], final: bool) -> Iterator[Record]:
        """Yield the blocks that are complete with some more lines."""
        for location, coloured in lines:
            line = COLOUR.sub("", coloured)
            if started := _START.search(line):
                yield from self._end("RSL-RL")
                self._add(location, "iteration", started[1])
            elif self._kind == "RSL-RL":
                if pair := _PAIR.match(line):
                    key = pair[1].strip()
                    loss = _LOSS.fullmatch(key)
                    tag = loss and f"Loss/{loss[1].replace(' ', '_').lower()}"
                    self._add(location, tag or _OF_RSL_RL.get(key.casefold(), key), pair[2])
            elif row := _ROW.match(line):
                yield from self._add_row(location, row[1], row[2].strip())
            else:
                yield from self._end("box" if _DASHES.search(line) else "")
        if final:
            yield from self._end()

    def _add_row(self, location: str, cell: str, value: str) -> Iterator[Record]:
        key = cell.strip()
        if self._kind and not value and key.endswith("/"):
            self._section = key
        elif self._kind and key:  # else a table of another kind, such as one of Markdown
            name = (self._section if cell.startswith("   ") else "") + key
            if name in self._values:
                yield from self._end("box")
            if _NUMBER.fullmatch(value):
                self._add(location, name, value)

    def _add(self, location: str, name: str, value: str) -> None:
        self._location = self._location or location
        self._values.setdefault(name, float(value))

    def _end(self, kind: Literal["", "box", "RSL-RL"] = "") -> Iterator[Record]:
        """Yield the block so far, if it has metrics, and begin another."""
        if len(self._values) > 1:
            yield Record(self._location, self._values)
        self._kind, self._location, self._values = kind, "", {}
