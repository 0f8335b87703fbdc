"""SB3's monitor files: one line per episode, grouped into iterations of nearly equal size."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from rungwise.health.improvement import FloatArray
from rungwise.health.metric_table import as_number
from rungwise.logs.formats.delimited import DelimitedFile
from rungwise.logs.formats.log_reader import LogReader, read_header
from rungwise.logs.log_record import Record, parse_json

FEWEST = 5
"""Minimum number of episodes per iteration: the mean of fewer is mostly noise."""
ROWS = 100
"""Maximum number of iterations that a long file is grouped into."""
_OF_RUN = re.compile(r"(\d+\.)?monitor\.csv")
"""SB3's name for the episodes of its one environment, or of each of those that run in parallel."""
Episode = tuple[float, float, float]
"""When it ended [s], its return, its length [steps]."""


class MonitorFiles:
    """The episodes that are added to the monitor files of one run."""

    def __init__(self, files: Sequence[Path], directory: Path | None) -> None:
        """Start above the first episode; in a directory also the files that appear later count."""
        self.damage = self.left_out = ""
        self.behind = False
        self._directory = directory
        self._tables = {file: DelimitedFile(file) for file in files}
        # No default of its own: a reader is sent to the processes of an audit.
        self._ends: dict[Path, float] = {}
        self._shifts = defaultdict[Path, float](float)

    @property
    def files(self) -> list[Path]:
        """The files that have been found so far."""
        return list(self._tables)

    def read(self, limit: int, final: bool) -> list[Episode]:
        """Return the new episodes of all files in the order in which they ended."""
        for file in find_monitors(self._directory) if self._directory else ():
            self._tables.setdefault(file, DelimitedFile(file))
        episodes: list[Episode] = []
        self.behind = False
        for path, table in self._tables.items():
            # Each file gets its part of the limit: with one after the other, episodes of the first
            # would all seem to come before those of the second.
            records = table.read(max(1, limit // len(self._tables)), final)
            start = _parse_start(table.comment)
            for record in records:
                r, length, t = (record.values.get(name) for name in "rlt")
                if not isinstance(r, float) or not isinstance(length, float):
                    self.damage = (
                        f"{path}, {record.location} has no number for the return r and the length "
                        "l."
                    )
                    return []
                end = start + self._shifts[path] + as_number(t if t is not None else 0.0)
                last = self._ends.get(path, end)
                if end < last:
                    # A resume that appends to the file counts from its own start.
                    self._shifts[path] += last - end
                    end = last
                self._ends[path] = end
                episodes.append((end, r, length))
            self.behind |= table.behind
            self.damage = self.damage or table.damage
            self.left_out = self.left_out or table.note
        # The times in a file count from its own start, so they are comparable only with it added.
        return sorted(episodes, key=lambda episode: episode[0])


class MonitorReader(LogReader):
    """The episodes of all environments of one run."""

    name = "SB3 monitor"
    endings = ("monitor.csv",)

    def _open(self) -> None:
        self._monitors = MonitorFiles(self.files, self.directory)
        self._episodes: list[Episode] = []
        self._grouped = 0
        self._steps = 0.0

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it has the name of SB3's file, or its columns."""
        is_renamed = path.suffix == ".csv" and read_header(path)[:3] == ["r", "l", "t"]
        return is_renamed or super().recognises(path)

    @classmethod
    def open_all(
        cls, files: Sequence[Path], rename: Mapping[str, str], directory: Path
    ) -> list[LogReader]:
        """Return a reader for each run of files in one directory."""
        # SB3 numbers the monitors of the parallel environments of one run: 0.monitor.csv,
        # 1.monitor.csv.
        several = [file for file in files if _OF_RUN.fullmatch(file.name)]
        readers: list[LogReader] = [cls(several, rename, directory)] if several else []
        return [*readers, *(cls([file], rename) for file in files if file not in several)]

    def _read_more(self, final: bool) -> list[Record]:
        self._episodes += self._monitors.read(self.limit, final)
        self.files = self._monitors.files
        self.behind, self.damage = self._monitors.behind, self._monitors.damage
        self.left_out = self._monitors.left_out
        return []

    def _assemble(self, records: list[Record], final: bool) -> list[Record]:
        """Group the episodes: all that are left at the end, before as many as fill iterations."""
        waiting = len(self._episodes)
        size = max(FEWEST, -(-(self._grouped + waiting) // ROWS))
        count = waiting if final else waiting // size * size
        if count == 0:
            return records
        _, returns, lengths = np.array(self._episodes[:count]).T
        del self._episodes[:count]
        groups = group_episodes(returns, lengths, size, self._grouped, self._steps)
        self._grouped += count
        self._steps += float(lengths.sum())
        return groups


def find_monitors(directory: Path) -> list[Path]:
    """Return the monitor files of the training in a directory."""
    return sorted(f for f in directory.glob("*monitor.csv") if _OF_RUN.fullmatch(f.name))


def group_episodes(
    returns: FloatArray,
    lengths: FloatArray,
    size: int = 0,
    earlier: int = 0,
    steps_before: float = 0.0,
) -> list[Record]:
    """Group returns and lengths [E] into one record per iteration.

    Args:
        returns: of each episode, [E].
        lengths: of each episode, [E], in steps.
        size: episodes of an iteration; 0 for as many as make at most 100 iterations.
        earlier: how many episodes were grouped before.
        steps_before: how many steps these had.
    """
    size = size or max(FEWEST, -(-returns.size // ROWS))
    groups = max(1, returns.size // size) if returns.size else 0
    # Groups of nearly equal size, as a short last group would have a noisier mean.
    bounds = np.linspace(0, returns.size, groups + 1).round().astype(int).tolist()
    steps = steps_before + np.cumsum(lengths)
    records: list[Record] = []
    for first, last in pairwise(bounds):
        r = returns[first:last]
        values = {
            "return_mean": float(r.mean()),
            "return_std": float(r.std()),
            "return_min": float(r.min()),
            "return_max": float(r.max()),
            "episodes": float(r.size),
            "episode_length": float(lengths[first:last].mean()),
            "env_steps": float(steps[last - 1]),
        }
        records.append(Record(f"episodes {earlier + first + 1} to {earlier + last}", values))
    return records


def _parse_start(comment: str) -> float:
    """Return the start time of the file, from the comment in its first line; 0 if missing."""
    try:
        return float(parse_json(comment.partition("\n")[0].removeprefix("#"))["t_start"])
    except (ValueError, LookupError, TypeError):
        return 0.0
