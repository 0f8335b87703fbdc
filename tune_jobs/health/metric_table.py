"""Rows of a long run, stored by metric, because the rules read whole columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import overload

import numpy as np

from tune_jobs.health.history import FloatArray, Row, as_number

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
