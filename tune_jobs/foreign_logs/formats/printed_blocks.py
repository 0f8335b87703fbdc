"""Blocks of lines that programs print at each iteration: boxes of SB3 and Baselines, and RSL-RL's.

A box has a row ``| key | value |`` for each metric between lines of dashes; in SB3's a row without
a value is a section, whose metrics are indented (``common/logger.py`` of both). RSL-RL prints
``Learning iteration 12/1500`` and a line for each metric (``utils/logger.py``).
"""

from __future__ import annotations

import re
from pathlib import Path

from tune_jobs.foreign_logs.formats.console import COLOUR, ENDINGS, NUMBER, ConsoleReader
from tune_jobs.foreign_logs.formats.log_reader import LogReader, read_first_lines
from tune_jobs.foreign_logs.formats.sb3_table import EvaluationMerger
from tune_jobs.foreign_logs.formats.tail import Lines
from tune_jobs.foreign_logs.likely_return import is_return
from tune_jobs.foreign_logs.log_record import Record
from tune_jobs.foreign_logs.names.name_matching import KNOWN

FIRST = 20
"""Blocks that are searched for a return: the first ones may lack it."""
_ROW = re.compile(r"(?:^|\s)\|([^|]*)\|([^|]*)\|\s*$")
_DASHES = re.compile(r"(?:^|\s)-{10,}\s*$")
_NUMBER = re.compile(NUMBER)
_START = re.compile(r"Learning iteration (\d+)/\d+")
_END = re.compile(r"^\s*ETA:")
_PAIR = re.compile(rf"^\s*([A-Za-z][^:]*):\s+({NUMBER})(?=s?(?:\s|$))")
_LOSS = re.compile(r"(?:mean )?([\w ]+) loss", re.IGNORECASE)
_OF_RSL_RL = {
    "mean reward": "Train/mean_reward",
    "mean episode length": "Train/mean_episode_length",
    "mean action noise std": "Policy/mean_noise_std",
    "mean action std": "Policy/mean_std",
    "computation": "Perf/total_fps",
    "steps per second": "Perf/total_fps",
    "total timesteps": "env_steps",
    "total steps": "env_steps",
    "iteration time": "iteration_s",
}
"""What RSL-RL prints, by its own tags; of those that have none by ours."""


class BlockParser:
    """Puts lines together to blocks."""

    def __init__(self) -> None:
        """Start outside of a block."""
        self._reset()

    def _reset(self, section: str = "", is_open: bool = False) -> None:
        self._values: dict[str, object] = {}
        self._place, self._section = "", section
        self._of_rsl_rl, self._is_open = False, is_open

    def add(self, place: str, line: str) -> Record | None:
        """Take over a line; return the block that it ends, if it has metrics."""
        line = COLOUR.sub("", line)
        if started := _START.search(line):
            done = self.end()
            self._of_rsl_rl, self._place = True, place
            self._values["iteration"] = float(started[1])
            return done
        if self._of_rsl_rl:
            if pair := _PAIR.match(line):
                self._values.setdefault(_name_pair(pair[1].strip()), float(pair[2]))
            return self.end() if _END.match(line) else None
        row = _ROW.search(line) if line.count("|") == 3 else None
        if row is None:
            done = self.end()
            self._is_open = bool(_DASHES.search(line))
            return done
        return self._add_row(place, row[1], row[2].strip())

    def _add_row(self, place: str, cell: str, value: str) -> Record | None:
        key = cell.strip()
        if not self._is_open or not key:  # a table of another kind, such as one of Markdown
            return None
        if not value and key.endswith("/"):
            self._section = key
            return None
        name = _complete((self._section if cell.startswith("   ") else "") + key)
        done = self.end(is_open=True) if name in self._values else None
        if _NUMBER.fullmatch(value):
            self._place = self._place or place
            self._values[name] = float(value)
        return done

    def end(self, *, is_open: bool = False) -> Record | None:
        """Return the block so far, if it has metrics, and begin another."""
        done = Record(self._place, self._values) if len(self._values) > 1 else None
        self._reset(self._section if is_open else "", is_open)
        return done


class PrintedBlocksReader(LogReader):
    """Blocks in the output of a program that was written to a file."""

    name = "printed blocks"
    needs_return = True

    def _open(self) -> None:
        self._lines = Lines(self.files[0], errors="replace")
        self._parser, self._merger = BlockParser(), EvaluationMerger()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a text file with a block among its first lines."""
        names = cls.first_names(path) if path.name.endswith(ENDINGS) else []
        # A box of something else may stand above lines with the metrics.
        return bool(names) and (any(map(is_return, names)) or not ConsoleReader.recognises(path))

    @classmethod
    def first_names(cls, path: Path) -> list[str]:
        """Return the names in the first blocks."""
        parser, names, blocks = BlockParser(), dict[str, None](), 0
        for line in (*read_first_lines(path), ""):
            if (block := parser.add("", line)) and blocks < FIRST:
                names |= dict.fromkeys(block.values)
                blocks += 1
        last = parser.end()
        return list(names or (last.values if last else ()))

    def _read_more(self, final: bool) -> list[Record]:
        lines = self._lines.read_numbered(self.limit, final)
        self.behind, self.damage = self._lines.behind, self._lines.damage
        blocks = [self._parser.add(place, line) for place, line in lines]
        if final and not self.behind:
            blocks.append(self._parser.end())
        return [block for block in blocks if block is not None]

    def _assemble(self, records: list[Record], final: bool) -> list[Record]:
        return self._merger.merge(records, final)


def _name_pair(key: str) -> str:
    """Return RSL-RL's tag of what it prints."""
    loss = _LOSS.fullmatch(key)
    return _OF_RSL_RL.get(key.casefold()) or (
        f"Loss/{loss[1].strip().replace(' ', '_').lower()}" if loss else key
    )


def _complete(name: str) -> str:
    """Return a name that was cut off for its length, if a single known one begins so."""
    if not name.endswith("..."):
        return name
    known = [full for full in KNOWN if full.startswith(name[:-3].casefold())]
    return known[0] if len(known) == 1 else name[:-3]
