"""Rows of a long run, stored by metric, because the rules read whole columns."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import cast, overload

import numpy as np

from tune_jobs.health.improvement import FloatArray

Row = Mapping[str, object]
"""Metric name to a number; a few metrics are lists of numbers or text."""

FIRST = 16
"""Initial capacity in rows; it doubles when full."""


class MetricTable(Sequence[Row]):
    """Rows of flat metrics, oldest first; numbers in one array per metric.

    Other values (a list, a text, a logged NaN) are stored separately, unchanged. A number is
    returned as a float. A slice is a table of the same arrays, to which no row is appended.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, FloatArray] = {}
        self._others: dict[str, dict[int, object]] = {}
        self._room, self._places = FIRST, range(0)

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> MetricTable:
        """Return a table of these rows."""
        table = cls()
        table._room, table._places = max(FIRST, len(rows)), range(len(rows))
        for name in dict.fromkeys(name for row in rows for name in row):
            column = as_numbers([row.get(name) for row in rows])
            other = [i for i in np.flatnonzero(~np.isfinite(column)).tolist() if name in rows[i]]
            if other:
                table._others[name] = {at: rows[at][name] for at in other}
            missing = np.full(table._room - len(rows), np.nan)
            table._numbers[name] = np.concatenate([column, missing])
        return table

    def append(self, row: Row) -> None:
        """Append the row of one iteration."""
        at = len(self)
        if at == self._room:
            # Doubling keeps the total cost of copying linear in the number of rows.
            self._room *= 2
            for name, column in self._numbers.items():
                # A new array, because views of the old one must stay valid.
                self._numbers[name] = np.concatenate([column, np.full_like(column, np.nan)])
        for name, value in row.items():
            number = as_number(value)
            if name not in self._numbers:
                # A metric may appear late (a held-out score, a norm measured in every fourth row).
                self._numbers[name] = np.full(self._room, np.nan)
            self._numbers[name][at] = number
            # A logged NaN is evidence and a missing cell is not, but both are NaN in the column.
            # The logged value is kept aside, so that the rows still distinguish them.
            if not math.isfinite(number):
                self._others.setdefault(name, {})[at] = value
        self._places = range(at + 1)

    def pop(self) -> None:
        """Remove the last row."""
        last = len(self) - 1
        for column in self._numbers.values():
            # The next append writes only its own metrics and would inherit the others from this
            # row.
            column[last] = np.nan
        for others in self._others.values():
            others.pop(last, None)
        self._places = range(last)

    def column(self, name: str) -> FloatArray:
        """Return the values [R] of a metric, NaN where a row lacks it as a number."""
        if name not in self._numbers:
            return np.full(len(self), np.nan)
        # A view: a check after every row would otherwise copy each column each time.
        places = self._places
        return self._numbers[name][places.start : places.stop : places.step]

    def has_column(self, name: str) -> bool:
        """Return whether any row has had a metric."""
        return name in self._numbers

    def find_last_change(self, name: str) -> int:
        """Return the first row from which on a metric has its last value; 0 without a change."""
        values = self.column(name)
        known = np.flatnonzero(np.isfinite(values))
        others = known[values[known] != values[known[-1]]] if known.size else known
        return int(known[known > others[-1]][0]) if others.size else 0

    def find_odd_rows(self, names: Iterable[str]) -> list[int]:
        """Return the rows in which one of these metrics was logged as no finite number."""
        odd = {at for name in names for at in self._others.get(name, ())}
        return [self._places.index(at) for at in odd if at in self._places]

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> MetricTable: ...
    def __getitem__(self, index: int | slice) -> Row | MetricTable:
        if isinstance(index, slice):
            part = MetricTable()
            part._numbers, part._others = self._numbers, self._others
            part._places = self._places[index]
            return part
        at = self._places[index]
        row: dict[str, object] = {}
        for name, column in self._numbers.items():
            if math.isfinite(column[at]):
                row[name] = float(column[at])
            elif at in self._others.get(name, ()):
                row[name] = self._others[name][at]
        return row


def as_number(value: object) -> float:
    """Return the value of a metric as a float; NaN for a list, text or None."""
    if type(value) is float:
        return value
    # NumPy scalars are registered as numbers.Real, so an isinstance check against float would lose
    # the float32 ones.
    if not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        # Python integers have no upper limit, floats do.
        return math.inf


def as_numbers(values: list[object]) -> FloatArray:
    """Convert each value [R] as :func:`as_number` does."""
    if set(map(type, values)) <= {float, type(None)}:  # nearly always, and ten times as fast
        return np.array(cast("list[float | None]", values), dtype=np.float64)
    return np.array([as_number(value) for value in values], dtype=np.float64)
