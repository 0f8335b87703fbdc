"""Input of the health rules: one row of flat metrics per training iteration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from rungwise.health.improvement import BoolArray, FloatArray
from rungwise.health.metric_table import MetricTable, Row, as_number
from rungwise.health.progress import Progress
from rungwise.health.remedy import OtherLibrary
from rungwise.health.smoothed_progress import SmoothedProgress
from rungwise.validation import AtLeastOne, check_value

SCORE = "score"
"""Stands in a rule's ``needs`` for the metric that is the score, whatever its name."""
LOGGED_SETTINGS = ("lr", "gamma", "grad_clip", "entropy_coef")
"""Settings that are also metrics: logs of other tools contain them."""
LEARNERS = ("value_loss", "policy_loss", "total_loss", "grad_norm")
"""Metrics that a library logs from its first update on."""
MIN_WARM_UP = 2
"""Rows of a warm-up: many libraries log their first rollout before the update that it is for."""


@dataclass(frozen=True)
class History:
    """The state of one run up to now: an immutable snapshot, created for each check.

    A rule reads the metrics (:attr:`table`), what the score has done (:attr:`progress`), the
    settings, and where in its budget the run is. A metric that a row lacks is absent, not NaN: an
    empty cell of a log carries no information, while a NaN that was logged may be a symptom.
    """

    rows: Sequence[Row]
    """One row per iteration, oldest first; ``row["iteration"]`` counts from 1 across resumes."""
    budget: int
    """Maximum number of iterations of the run."""
    score: str = "score"
    """Name of the metric that is the score."""
    mode: Literal["min", "max"] = "max"
    """Whether a smaller or a larger score is better."""
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    """All settings of the run's algorithm; empty where unknown (logs of other tools)."""
    other: OtherLibrary | None = None
    """The settings of a library that is not ours, where these are known."""
    warm_up: int = 0
    """Iterations before these rows, in which nothing was learnt: they count as no budget."""
    has_ended: bool = False
    """Whether no row follows, wherever in its budget the run is."""
    is_smoothed: bool = False
    """Whether the score is a moving average, whose rows repeat each other."""
    _earlier: dict[int, History] = field(
        default_factory=dict[int, "History"], init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_value("budget", self.budget, int, AtLeastOne)
        check_value("mode", self.mode, Literal["min", "max"])

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def table(self) -> MetricTable:
        """The rows by metric, as the rules read them."""
        # A live run has them so: it is judged after every row, and columns that are assembled from
        # rows each time would cost time quadratic in its length.
        return self.rows if isinstance(self.rows, MetricTable) else MetricTable.from_rows(self.rows)

    @cached_property
    def progress(self) -> Progress:
        """The progress of the score up to now."""
        kind = SmoothedProgress if self.is_smoothed else Progress
        return kind(self.table, self.score, self.mode)

    def count_last(self, rows: int) -> int:
        """Return the number of rows in the window of the last ``rows``: a short run has fewer."""
        return min(rows, len(self))

    def series(self, name: str) -> FloatArray:
        """Return the values [R] of a metric, NaN where a row lacks it."""
        return self.table.column(name)

    def recent(self, name: str, rows: int) -> FloatArray:
        """Return the finite values of a metric in the last ``rows`` rows [at most ``rows``]."""
        return self.table.recent(name, rows)

    def median(self, name: str, rows: int) -> float:
        """Return the median of the finite values in the last ``rows`` rows, else NaN."""
        return self.table.median(name, rows)

    @cached_property
    def _latest(self) -> dict[str, float]:
        """Answers of :meth:`latest` for the metrics in the newest row, and for those asked for."""
        return self.table.list_newest()

    def latest(self, name: str) -> float:
        """Return the last finite value of a metric, or of the setting of this name; else NaN."""
        if name not in self._latest:
            last = self.table.latest(name)
            # The logged value goes first, because a schedule may have changed the setting.
            is_logged = math.isfinite(last) or name not in self.settings
            self._latest[name] = last if is_logged else as_number(self.settings[name])
        return self._latest[name]

    @cached_property
    def since_learning(self) -> History:
        """The history without the rows before the first update, in which actions are random.

        Algorithms with a replay buffer fill it first; in short runs that takes half of the budget.
        """
        first = self._count_warm_up()
        if first < MIN_WARM_UP:
            return self
        return replace(self, rows=self.table[first:], warm_up=self.iteration(first - 1))

    def _count_warm_up(self) -> int:
        """Return the number of leading rows in which nothing was learnt."""
        limit = self.latest("warm_up_steps")
        if math.isfinite(limit):
            learning = self.series("env_steps") > limit
            return int(np.argmax(learning)) if learning.any() else len(self)
        # Where updates are counted, a rule of its own judges that there are none.
        if not self.rows or self.has("updates"):
            return 0
        learning = np.any([np.isfinite(self.series(name)) for name in LEARNERS], axis=0)
        return int(np.argmax(learning))

    @cached_property
    def in_use(self) -> Mapping[str, object]:
        """The known settings: all of our own runs, those that were logged of other tools."""
        if self.settings:
            return self.settings
        values = dict(self.other.values) if self.other else {}
        logged = {name: self.latest(name) for name in LOGGED_SETTINGS}
        return values | {name: value for name, value in logged.items() if math.isfinite(value)}

    def has(self, name: str) -> bool:
        """Return whether any row has a finite value of this metric."""
        return math.isfinite(self.latest(name))

    def iteration(self, index: int) -> int:
        """Return the iteration of a row; where unknown, the row's position counted from 1."""
        given = float(self.series("iteration")[index])
        return int(given) if math.isfinite(given) else self.warm_up + range(1, len(self) + 1)[index]

    @cached_property
    def budget_fraction_used(self) -> float:
        """Fraction of the budget used, 0 to 1, without the warm-up."""
        if not self.rows:
            return 0.0
        return min(1.0, (self.iteration(-1) - self.warm_up) / max(1, self.budget - self.warm_up))

    @property
    def is_over(self) -> bool:
        """Whether no check follows."""
        return self.has_ended or self.budget_fraction_used >= 1

    def is_warmed_up(self, rows: int, budget_fraction: float) -> bool:
        """Return whether there are ``rows`` rows and ``budget_fraction`` of the budget is used.

        Short trials (27 iterations are common under ASHA) would end before a warm-up counted in
        rows alone, so it never asks for more rows than half of the budget.
        """
        enough_rows = len(self.rows) >= min(rows, (self.budget - self.warm_up) / 2)
        return enough_rows and self.budget_fraction_used >= budget_fraction

    def find_onset(self, sick: BoolArray, window: int) -> int:
        """Return the iteration at which the symptom in the last ``window`` rows began.

        Args:
            sick: for each row [R] whether it shows the symptom by itself.
            window: number of last rows that show the symptom as a whole.
        """
        start = max(0, len(self) - window)
        # argmax is 0 where no row is sick by itself: it is then the first row of the window.
        start += int(np.argmax(sick[start:]))
        # The symptom may be older than the window that the rule judges.
        while start > 0 and sick[start - 1]:
            start -= 1
        return self.iteration(start)

    @cached_property
    def score_budget(self) -> int:
        """How many scores the whole budget has, at the pace so far; at least 1."""
        # Per iteration and not per row: a program may log a row in every tenth iteration only.
        learning = self.iteration(-1) - self.warm_up if self.rows else 0
        # Over all stages, because those of a new one say nothing about the pace yet.
        scored = int(np.isfinite(self.series(self.score)).sum()) or len(self)
        pace = scored / max(1, learning) if self.rows else 1.0
        return max(1, math.ceil(pace * (self.budget - self.warm_up)))

    def before_scores(self, scores: int) -> History:
        """Return the history as it was just before the last ``scores`` scores."""
        rows = len(self.progress.before_scores(scores).table)
        return self.without_last(len(self) - rows) if scores else self

    def without_last(self, rows: int) -> History:
        """Return the history as it was ``rows`` rows ago."""
        if rows not in self._earlier:
            # Cached, because patience and withdrawal judge the same earlier checks again and again.
            remaining = max(0, len(self) - rows)
            ended = self.has_ended and not rows
            self._earlier[rows] = replace(self, rows=self.table[:remaining], has_ended=ended)
        return self._earlier[rows]
