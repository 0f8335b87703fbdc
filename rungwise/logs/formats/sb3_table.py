"""SB3's progress.csv, with the exact returns from the monitor files next to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from rungwise.health.metric_table import as_number
from rungwise.logs.formats.delimited import DelimitedReader
from rungwise.logs.formats.log_reader import LogReader
from rungwise.logs.formats.monitors import Episode, MonitorFiles, find_monitors
from rungwise.logs.log_record import Record

COUNTERS = ("time/iterations", "time/episodes")
"""On-policy algorithms of SB3 count iterations and off-policy ones episodes; a line of an
evaluation has neither."""
MOST_WAITING = 10
"""Lines without a counter after which the log is taken to have none."""


class SB3TableReader(DelimitedReader):
    """The lines of SB3 with the return of the episodes that finished since the line before.

    SB3 logs a moving average over 100 episodes, in which noise looks like a trend. Monitors whose
    steps are not those of the run (of its evaluations, say) are left alone.
    """

    name = "SB3 progress.csv"
    needs_return = False
    column = "time/total_timesteps"

    def _open(self) -> None:
        super()._open()
        files = find_monitors(self.directory) if self.directory else ()
        self._monitors = MonitorFiles(files, self.directory)
        self._episodes: list[Episode] = []
        self._steps_assigned = 0.0
        self._waiting: list[Record] = []
        self._before: dict[str, object] = {}
        self._counter: str | None = None

    @classmethod
    def open_all(
        cls, files: Sequence[Path], rename: Mapping[str, str], directory: Path
    ) -> list[LogReader]:
        """Return a reader for each run of files in one directory."""
        # With several progress files it is unknown to which the monitors belong.
        return [cls([file], rename, directory if len(files) == 1 else None) for file in files]

    def _read_more(self, final: bool) -> list[Record]:
        # The table first: an episode is written before the line that contains it.
        records = super()._read_more(final)
        self._episodes += self._monitors.read(self.limit, final)
        self.files = [self.files[0], *self._monitors.files]
        self.behind |= self._monitors.behind
        return records

    def _assemble(self, records: list[Record], final: bool) -> list[Record]:
        return self._add_returns(self._merge_evaluations([*self._waiting, *records], final), final)

    def _merge_evaluations(self, records: list[Record], final: bool) -> list[Record]:
        """Join lines that SB3 writes while it evaluates with the next one of the training.

        It evaluates while it collects, and what it last learnt is then in that line.
        """
        if self._counter is None:
            in_log = (c for c in COUNTERS if any(c in r.values for r in records))
            self._counter = next(in_log, None)
        self._waiting = []
        if self._counter is None and not final and len(records) <= MOST_WAITING:
            self._waiting = records
            return []
        merged: list[Record] = []
        for record in records:
            self._before |= record.values
            if self._counter is None or self._counter in record.values:
                merged.append(dataclasses.replace(record, values=self._before))
                self._before = {}
        return merged

    def _add_returns(self, records: list[Record], final: bool) -> list[Record]:
        clock = [as_number(record.values.get("time/total_timesteps")) for record in records]
        lengths = [length for _, _, length in self._episodes]
        steps = self._steps_assigned + np.cumsum(lengths)
        bounds = [0, *np.searchsorted(steps, clock, side="right").tolist()]
        # Monitors of the training cover most of the run's steps; those of evaluations far fewer.
        covered = steps[bounds[-1] - 1] if bounds[-1] else self._steps_assigned
        # A run that is still at work has episodes after its last line.
        ahead = final and bounds[-1] < len(steps)
        if not clock or not self._episodes or ahead or not covered > clock[-1] / 2:
            return records
        returns = np.array([r for _, r, _ in self._episodes])
        with_returns: list[Record] = []
        for record, (first, last) in zip(records, pairwise(bounds), strict=True):
            values = dict(record.values) | {"episodes": float(max(0, last - first))}
            if last > first:
                values["return_mean"] = float(returns[first:last].mean())
            with_returns.append(Record(record.location, values))
        if bounds[-1]:
            self._steps_assigned = float(steps[bounds[-1] - 1])
            del self._episodes[: bounds[-1]]
        return with_returns
