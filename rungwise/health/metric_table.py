"""Rows of a long run, stored by metric, because the rules read whole columns."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

import numpy as np

from rungwise.health.improvement import FloatArray, keep_finite, median_of_finite

Row = Mapping[str, object]
"""Metric name to a number; a few metrics are lists of numbers or text."""

FIRST = 16
"""Initial capacity in rows; it doubles when full."""
MOST_COMPUTED = 32
"""Results in memory, of each of thousands of trials."""
T = TypeVar("T")


class MetricTable(Sequence[Row]):
    """Rows of flat metrics, oldest first; numbers in one array with a row for each metric.

    Other values (a list, a text, a logged NaN) are stored separately, unchanged. A number is
    returned as a float. A slice is a table of the same array, to which no row is appended.
    """

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._numbers: FloatArray = np.empty((0, FIRST))
        self._others: dict[str, dict[int, object]] = {}
        self._places = range(0)
        self._computed: dict[object, Any] = {}
        """Results of :meth:`compute_once`, for any rows of this table."""

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> MetricTable:
        """Return a table of these rows."""
        table = cls()
        for row in rows:
            table.append(row)
        return table

    def append(self, row: Row) -> None:
        """Append the row of one iteration."""
        at = len(self)
        # A metric may appear late (a held-out score, a norm measured in every fourth row).
        if at == self._numbers.shape[1] or not row.keys() <= self._index.keys():
            self._make_room(row, at + 1)
        values = {name: as_number(value) for name, value in row.items()}
        self._numbers[[self._index[name] for name in values], at] = list(values.values())
        # A logged NaN is evidence and a missing cell is not, but both are NaN in the array. The
        # logged value is kept aside, so that the rows still distinguish them.
        for name, value in values.items():
            if not math.isfinite(value):
                self._others.setdefault(name, {})[at] = row[name]
        self._places = range(at + 1)

    def _make_room(self, names: Iterable[str], rows: int) -> None:
        """Make room for at least this number of rows, and for these metrics."""
        # New ones, because slices still read the old index and array.
        self._index = {name: at for at, name in enumerate(dict.fromkeys((*self._index, *names)))}
        before, (num_metrics, room) = self._numbers, self._numbers.shape
        # Growth by a factor keeps the total cost of copying linear in the numbers of both.
        if len(self._index) > num_metrics:
            num_metrics = max(len(self._index), num_metrics + num_metrics // 4)
        if rows > room:
            room = max(rows, 2 * room)
        if (num_metrics, room) != before.shape:
            self._numbers = np.full((num_metrics, room), np.nan)
            self._numbers[: before.shape[0], : before.shape[1]] = before

    def pop(self) -> None:
        """Remove the last row."""
        last = len(self) - 1
        # The next append writes only its own metrics and would inherit the others from this row.
        self._numbers[:, last] = np.nan
        for others in self._others.values():
            others.pop(last, None)
        self._places = range(last)
        self._computed.clear()

    def compute_once(self, key: object, compute: Callable[[], T]) -> T:
        """Compute what depends on these rows alone, unless a table of the same rows has done so.

        A live run is judged after every row, and each time as it was a few rows ago, too.
        """
        key = (key, self._places)
        if key not in self._computed:
            if len(self._computed) >= MOST_COMPUTED:
                self._computed.clear()
            self._computed[key] = compute()
        return self._computed[key]

    def column(self, name: str) -> FloatArray:
        """Return the values [R] of a metric, NaN where a row lacks it as a number."""
        if name not in self._index:
            return np.full(len(self), np.nan)
        # A view: a check after every row would otherwise copy each column each time.
        places = self._places
        return self._numbers[self._index[name], places.start : places.stop : places.step]

    def recent(self, name: str, rows: int) -> FloatArray:
        """Return the finite values of a metric in the last ``rows`` rows [at most ``rows``]."""
        # The window counts rows, not values: a rare metric gives fewer numbers, not older ones.
        return keep_finite(self.column(name)[-rows:])

    def median(self, name: str, rows: int) -> float:
        """Return the median of the finite values in the last ``rows`` rows, NaN if there is none.

        Every comparison with NaN is false, so a rule that asks for ``median > limit`` finds nothing
        in a metric without a number.
        """
        return median_of_finite(self.column(name)[-rows:])

    def latest(self, name: str) -> float:
        """Return the last finite value of a metric, NaN if there is none."""
        values = self.column(name) if name in self._index else np.empty(0)
        if values.size and math.isfinite(values[-1]):
            return float(values[-1])  # nearly always, and without a scan
        finite = keep_finite(values)
        return float(finite[-1]) if finite.size else math.nan

    def has(self, name: str) -> bool:
        """Return whether any row has a finite value of a metric."""
        return math.isfinite(self.latest(name))

    def list_newest(self) -> dict[str, float]:
        """List the finite numbers of the last row, by metric."""
        if not self:
            return {}
        pairs = self._list_numbers(self._places[-1])
        return {name: number for name, number in pairs if math.isfinite(number)}

    def _list_numbers(self, at: int) -> Iterable[tuple[str, float]]:
        numbers = self._numbers[: len(self._index), at].tolist()
        return zip(self._index, numbers, strict=True)

    def find_last_change(self, name: str) -> int:
        """Return the first row from which on a metric has its last value; 0 without a change."""
        if name not in self._index:
            return 0
        values = self.column(name)
        rows = np.flatnonzero(np.isfinite(values))
        others = rows[values[rows] != values[rows[-1]]] if rows.size else rows
        return int(rows[rows > others[-1]][0]) if others.size else 0

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
            part._index, part._numbers = self._index, self._numbers
            part._others, part._places = self._others, self._places[index]
            part._computed = self._computed
            return part
        at = self._places[index]
        row: dict[str, object] = {}
        for name, number in self._list_numbers(at):
            if math.isfinite(number):
                row[name] = number
            elif at in self._others.get(name, ()):
                row[name] = self._others[name][at]
        return row


def as_number(value: object) -> float:
    """Return the value of a metric as a float; NaN for a list, text or None."""
    if type(value) is float:
        return value
    # NumPy scalars are registered as numbers.Real, so an isinstance check against float would lose
    # the float32 ones. An int is one of them, too, which Python takes longer to find.
    if not isinstance(value, (int, numbers.Real)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        # Python integers have no upper limit, floats do.
        return math.inf
