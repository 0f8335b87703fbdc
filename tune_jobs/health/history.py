"""What the rules look at: one row of flat metrics for each training iteration."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal, Protocol, cast, runtime_checkable

import numpy as np

from envs.validation import AtLeastOne, check_value
from tune_jobs.health.improvement import (
    BoolArray,
    FloatArray,
    Improvement,
    Rise,
    kendall_tau,
)

Row = Mapping[str, object]
"""Metric name to a number, or to a list of numbers or a text for the few metrics that are one."""

SCORE = "score"
"""Stands in a rule's ``needs`` for the metric the run is judged by, whatever its name is."""

LOGGED_SETTINGS = ("lr", "gamma", "grad_clip", "entropy_coef")
"""Settings that are metrics, too: logs of other tools have them."""

_has_improved, _rises = Improvement(), Rise()


@runtime_checkable
class SupportsColumn(Protocol):
    """Rows that are kept by metric, which saves putting each column together again."""

    def column(self, name: str) -> FloatArray:
        """The values [R] of a metric, NaN where a row does not have it as a number."""
        ...


@dataclasses.dataclass(frozen=True)
class History:
    """The rows of one run up to now; a snapshot, to be made anew for each check.

    A metric that a row does not have is absent, not NaN: a cell left empty in a log says nothing,
    a NaN that was logged may be a sickness.
    """

    rows: Sequence[Row]
    """One row per iteration, oldest first; ``row["iteration"]`` counts from 1 across resumes."""
    budget: int
    """Iterations the run may take in all."""
    score: str = "score"
    """The metric the run is judged by."""
    mode: Literal["min", "max"] = "max"
    """Whether a smaller or a larger score is better."""
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict[str, object])
    """All settings of the run's algorithm; empty where they are not known (a log of others)."""
    _columns: dict[str, FloatArray] = dataclasses.field(
        default_factory=dict[str, FloatArray], init=False, repr=False, compare=False
    )
    _latest: dict[str, float] = dataclasses.field(
        default_factory=dict[str, float], init=False, repr=False, compare=False
    )
    _earlier: dict[int, History] = dataclasses.field(
        default_factory=dict[int, "History"], init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_value("History.budget", self.budget, int, AtLeastOne)
        check_value("History.mode", self.mode, Literal["min", "max"])

    def __len__(self) -> int:
        return len(self.rows)

    def series(self, name: str) -> FloatArray:
        """The values [R] of a metric, NaN where a row does not have it."""
        if name not in self._columns:
            self._columns[name] = self._last(name, len(self.rows))
        return self._columns[name]

    def _last(self, name: str, rows: int) -> FloatArray:
        if name in self._columns:
            return self._columns[name][-rows:]
        if self._columnar is not None:
            return self._columnar.column(name)[-rows:]
        return as_numbers([row.get(name) for row in self.rows[-rows:]])

    @cached_property
    def _columnar(self) -> SupportsColumn | None:
        # Asking what an object is like takes longer than most of the rules.
        return self.rows if isinstance(self.rows, SupportsColumn) else None

    def recent(self, name: str, rows: int) -> FloatArray:
        """The finite values of a metric in the last ``rows`` rows [at most ``rows``]."""
        values = self._last(name, rows)
        return values[np.isfinite(values)]

    def latest(self, name: str) -> float:
        """The last finite value of a metric, or NaN; a setting stands for itself."""
        if name not in self._latest:  # most rules ask, for the same few names
            last = _last_finite(self.series(name))
            known = math.isfinite(last) or name not in self.settings
            self._latest[name] = last if known else as_number(self.settings[name])
        return self._latest[name]

    @cached_property
    def in_use(self) -> Mapping[str, object]:
        """The settings in use, as far as they are known: of a log, those that it has."""
        if self.settings:
            return self.settings
        logged = {name: self.latest(name) for name in LOGGED_SETTINGS}
        return {name: value for name, value in logged.items() if math.isfinite(value)}

    def has(self, name: str) -> bool:
        """Whether any row has a finite value of this metric."""
        return math.isfinite(self.latest(name))

    def iteration(self, index: int) -> int:
        """The iteration of a row; its place, counted from 1, where the row does not say."""
        known = float(self.series("iteration")[index])
        return int(known) if math.isfinite(known) else range(1, len(self) + 1)[index]

    @cached_property
    def budget_fraction_used(self) -> float:
        """Share of the budget used, 0 to 1."""
        return min(1.0, self.iteration(-1) / self.budget) if self.rows else 0.0

    def is_warmed_up(self, rows: int, share: float) -> bool:
        """Whether a warm-up is over: ``rows`` rows and ``share`` of the budget.

        Short trials (27 iterations are common under ASHA) would be over before a warm-up counted
        in rows alone, so it never asks for more rows than half of the budget.
        """
        return len(self) >= min(rows, self.budget / 2) and self.budget_fraction_used >= share

    def find_onset(self, sick: BoolArray, window: int) -> int:
        """The iteration at which the sickness of the last ``window`` rows began.

        Args:
            sick: for each row [R] whether it is sick by itself.
            window: the last rows, found to be sick as a whole.
        """
        start = max(0, len(self) - window)
        start += int(np.argmax(sick[start:]))
        while start > 0 and sick[start - 1]:
            start -= 1
        return self.iteration(start)

    @cached_property
    def scores(self) -> FloatArray:
        """The score of each row [R], turned so that higher is better."""
        scores = self.series(self.score)
        return scores if self.mode == "max" else -scores

    @property
    def behind(self) -> FloatArray:
        """The episodes behind each score [R], NaN where they are not counted."""
        return self.series("episodes")

    @cached_property
    def improved(self) -> bool | None:
        """Whether the score has improved (:class:`Improvement`); None while it is too early."""
        return _has_improved(self.scores, self.series("episodes"))

    @cached_property
    def rising(self) -> bool:
        """Whether the score rises now (:class:`Rise`), be it from a dip or from a late start.

        No rule ends a run for what its score has not done yet while it does it.
        """
        return _rises(self.scores)

    def has_improved_lately(self, rows: int) -> bool:
        """Whether the score has improved by any of the last checks.

        A few bad iterations make the gain uncertain for a while; they do not take it back.
        """
        return any(self.without_last(ago).improved for ago in range(rows))

    @cached_property
    def trend(self) -> float:
        """Kendall's tau of the score over the iterations: -1 falls, 1 rises at every row."""
        return kendall_tau(self.scores[np.isfinite(self.scores)])

    def without_last(self, rows: int) -> History:
        """The history as it was ``rows`` checks ago."""
        if rows not in self._earlier:
            left = max(0, len(self) - rows)
            earlier = dataclasses.replace(self, rows=self.rows[:left])
            earlier._columns.update({name: known[:left] for name, known in self._columns.items()})
            self._earlier[rows] = earlier
        return self._earlier[rows]


def _last_finite(values: FloatArray) -> float:
    """values [R] -> the last finite one, which nearly always is the last; NaN if there is none."""
    if values.size and math.isfinite(values[-1]):
        return float(values[-1])
    finite = np.flatnonzero(np.isfinite(values))
    return float(values[finite[-1]]) if finite.size else math.nan


def as_number(value: object) -> float:
    """A metric's value as a float; NaN for a list, a text or nothing."""
    if type(value) is float:
        return value
    if not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def as_numbers(values: list[object]) -> FloatArray:
    """Each value as :func:`as_number` makes it: values [R] -> floats [R]."""
    if set(map(type, values)) <= {float, type(None)}:  # nearly always, and ten times as fast
        return np.array(cast("list[float | None]", values), dtype=np.float64)
    return np.array([as_number(value) for value in values], dtype=np.float64)
