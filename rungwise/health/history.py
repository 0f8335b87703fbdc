"""Input of the health rules: one row of flat metrics per training iteration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from rungwise.health.improvement import (
    CONSTANT,
    BoolArray,
    FloatArray,
    Improvement,
    IndexArray,
    Rise,
    count_unsettled,
    find_last_finite,
    is_constant,
    keep_finite,
    kendall_tau,
    median_of_finite,
    pool_scores,
)
from rungwise.health.metric_table import MetricTable, Row, as_number
from rungwise.health.remedy import OtherLibrary
from rungwise.metrics import STAGE, depends_on_stage
from rungwise.validation import AtLeastOne, check_value

SCORE = "score"
"""Stands in a rule's ``needs`` for the metric that is the score, whatever its name."""
LARGEST = 1e300
"""Size of a score up to which sums over a run do not overflow."""
LOGGED_SETTINGS = ("lr", "gamma", "grad_clip", "entropy_coef")
"""Settings that are also metrics: logs of other tools contain them."""
LEARNERS = ("value_loss", "policy_loss", "total_loss", "grad_norm")
"""Metrics that a library logs from its first update on."""
MIN_WARM_UP = 2
"""Rows of a warm-up: many libraries log their first rollout before the update that it is for."""
POOLED = 20
"""Episodes that a row must be the mean of to be judged by itself."""
CHECKS = 8
"""Evenly spaced checks up to now: if the score had improved at two of these in a row, the run has
learnt. So do 0.5 % of runs of 60 rows of noise, and 4.5 % if one check were enough."""
_EVEN, _UNEVEN = Improvement(episodes=0, leap=Improvement.relative), Improvement()
_rises = Rise()


@dataclass(frozen=True)
class History:
    """Rows of one run up to now: an immutable snapshot, created for each check.

    A metric that a row lacks is absent, not NaN: an empty cell of a log carries no information,
    while a NaN that was logged may be a symptom.

    A score exists only in the rows that measured one: a held-out score in every tenth, say. So what
    is judged by the score counts scores and not rows: a check is repeated per score
    (:meth:`before_scores`), and a window of scores is limited by :attr:`score_budget`.
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
    _earlier: dict[int, History] = field(
        default_factory=dict[int, "History"], init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_value("budget", self.budget, int, AtLeastOne)
        check_value("mode", self.mode, Literal["min", "max"])

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def _table(self) -> MetricTable:
        """The rows by metric, as the rules read them."""
        # A live run has them so: it is judged after every row, and columns that are assembled from
        # rows each time would cost time quadratic in its length.
        return self.rows if isinstance(self.rows, MetricTable) else MetricTable.from_rows(self.rows)

    def count_last(self, rows: int) -> int:
        """Return the number of rows in the window of the last ``rows``: a short run has fewer."""
        return min(rows, len(self))

    def series(self, name: str) -> FloatArray:
        """Return the values [R] of a metric, NaN where a row lacks it."""
        return self._table.column(name)

    def find_odd_rows(self, names: Iterable[str]) -> list[int]:
        """Return the rows in which one of these metrics was logged as no finite number."""
        return self._table.find_odd_rows(names)

    def recent(self, name: str, rows: int) -> FloatArray:
        """Return the finite values of a metric in the last ``rows`` rows [at most ``rows``]."""
        # The window counts rows, not values: a rare metric gives fewer numbers, not older ones.
        return keep_finite(self.series(name)[-rows:])

    def median(self, name: str, rows: int) -> float:
        """Return the median of the finite values in the last ``rows`` rows, NaN if there is none.

        Every comparison with NaN is false, so a rule that asks for ``median > limit`` finds nothing
        in a metric without a number.
        """
        return median_of_finite(self.series(name)[-rows:])

    @cached_property
    def _latest(self) -> dict[str, float]:
        """What :meth:`latest` returns of the metrics in the newest row, and of those asked for."""
        return self._table.list_newest()

    @property
    def known(self) -> set[str]:
        """Metrics with a finite value, of those in the last row and those asked for so far."""
        return {name for name, value in self._latest.items() if math.isfinite(value)}

    def latest(self, name: str) -> float:
        """Return the last finite value of a metric, or of the setting of this name; else NaN."""
        if name not in self._latest:
            last = find_last_finite(self.series(name)) if self._table.has_column(name) else math.nan
            # The logged value goes first, because a schedule may have changed the setting.
            known = math.isfinite(last) or name not in self.settings
            self._latest[name] = last if known else as_number(self.settings[name])
        return self._latest[name]

    @cached_property
    def since_learning(self) -> History:
        """The history without the rows before the first update, in which actions are random.

        Algorithms with a replay buffer fill it first; in short runs that takes half of the budget.
        """
        first = self._count_warm_up()
        if first < MIN_WARM_UP:
            return self
        return replace(self, rows=self._table[first:], warm_up=self.iteration(first - 1))

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

    @property
    def return_name(self) -> str:
        """The metric with the mean return; some tools log only the mean of 100 episodes."""
        return "return_mean" if self.has("return_mean") else "return_mean_100"

    @cached_property
    def in_use(self) -> Mapping[str, object]:
        """The known settings: all of our own runs, those that were logged of other tools."""
        if self.settings:
            return self.settings
        known = dict(self.other.values) if self.other else {}
        logged = {name: self.latest(name) for name in LOGGED_SETTINGS}
        return known | {name: value for name, value in logged.items() if math.isfinite(value)}

    def has(self, name: str) -> bool:
        """Return whether any row has a finite value of this metric."""
        known = self._latest.get(name)  # asked of every metric that a rule needs
        if known is None and not self._table.has_column(name) and name not in self.settings:
            return False
        return math.isfinite(self.latest(name) if known is None else known)

    def iteration(self, index: int) -> int:
        """Return the iteration of a row; where unknown, the row's position counted from 1."""
        known = float(self.series("iteration")[index])
        return int(known) if math.isfinite(known) else self.warm_up + range(1, len(self) + 1)[index]

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
    def stage_start(self) -> int:
        """The row with which the current stage of a curriculum began; 0 in its first stage.

        A run that has come further has mastered a stage.
        """
        return self._table.find_last_change(STAGE)

    @cached_property
    def scores(self) -> FloatArray:
        """The score of each row [R], with the sign changed for ``min``: higher is better.

        NaN before the current stage of a curriculum: a fall to the scores of a harder task is none.
        Sizes above :data:`LARGEST` are cut to it.
        """
        scores = self.series(self.score)
        scores = np.where(np.isinf(scores), scores, np.clip(scores, -LARGEST, LARGEST))
        if depends_on_stage(self.score):
            scores = self._keep_stage(scores)
        return scores if self.mode == "max" else -scores

    def _keep_stage(self, values: FloatArray) -> FloatArray:
        """Return the values [R] with NaN before the current stage."""
        return np.where(np.arange(len(self)) < self.stage_start, np.nan, values)

    @property
    def known_scores(self) -> FloatArray:
        """The finite ones of :attr:`scores`."""
        return keep_finite(self.scores)

    @property
    def episodes_per_score(self) -> FloatArray:
        """Number of episodes [R] that each score is the mean of, NaN where not counted."""
        return self.series("episodes")

    @cached_property
    def improved(self) -> bool | None:
        """Whether the score has improved (:class:`Improvement`); None while it is too early.

        None, too, where the returns of the agents of a game cancel: the score is no measure.

        Where episodes are long, a row is the mean of one or two, whose noise hides a gain: then it
        may show in rows that are pooled (16 of 72 trials on LunarLander, some from -150 to 110).
        """
        key = (type(self), self.score, self.mode)
        return self._table.compute_once(key, self._judge_improvement)

    def _judge_improvement(self) -> bool | None:
        """Compute :attr:`improved` from the rows alone."""
        if self.cancels:
            return None
        rows = self.settled_rows
        episodes, scores = self.series("episodes")[rows], self._scores_with_time[rows]
        improved = self.improvement(scores, episodes)
        if improved is False and np.any(episodes < POOLED):
            _, means, counts = pool_scores(scores, np.nan_to_num(episodes), POOLED)
            return self.improvement(means, counts) is True
        return improved

    @property
    def improvement(self) -> Improvement:
        """The statistic of :attr:`improved`.

        First scores are biased because short episodes finish first. Where all episodes are of one
        length, the first score is a start like any other, and all that is left of one within the
        first 50 episodes: a run had risen from 208 to 360 in 40 of them.
        """
        return _EVEN if self.is_even else _UNEVEN

    @property
    def is_even(self) -> bool:
        """Whether all episodes are of the same length."""
        return is_constant(self.recent("episode_length", len(self)))

    @cached_property
    def cancels(self) -> bool:
        """Whether score and mean return are constant although they are of returns that differ.

        What one agent of a game of zero sum wins, another one loses.
        """
        ranges = self.series("return_max") - self.series("return_min")
        spread = float(keep_finite(np.fmax(ranges, self.series("return_std"))).max(initial=0.0))
        means = (self.recent(self.return_name, len(self)), self.known_scores)
        # Rounding, of equal returns or of a mean that is zero, is no difference.
        size = max(float(np.abs(mean).max(initial=0.0)) for mean in means)
        constant = all(mean.size and np.ptp(mean) <= CONSTANT * spread for mean in means)
        return constant and spread > CONSTANT * size

    @property
    def _scores_with_time(self) -> FloatArray:
        """The scores [R]; minus the lengths of episodes where all have one positive return.

        A task that pays once, at its goal, returns the same however long the way was. Its
        discounted return rises as the way becomes shorter; a negative one as it becomes longer.
        """
        returns = keep_finite(self._keep_stage(self.series(self.return_name)))
        same = is_constant(returns) and is_constant(self.known_scores)
        if not same or not returns[-1] or not self.has("episode_length"):
            return self.scores
        return -math.copysign(1.0, returns[-1]) * self._keep_stage(self.series("episode_length"))

    @cached_property
    def had_learnt(self) -> bool:
        """Whether the score had improved at two checks in a row: a fallen policy may recover."""
        scores = self.score_rows.size
        ago = (scores * check // CHECKS for check in range(1, CHECKS))
        improved = [self.before_scores(count).improved for count in ago]
        return any(later and earlier for later, earlier in pairwise(improved))

    @property
    def independent_scores(self) -> FloatArray:
        """The known scores that share no episode."""
        return self.known_scores

    @cached_property
    def rising(self) -> bool:
        """Whether the score rises now (:class:`Rise`), after a dip or a late start."""
        return _rises(self.independent_scores)

    @cached_property
    def score_rows(self) -> IndexArray:
        """Indices [S] of the rows with a finite score; of all rows where none has one."""
        scored = np.flatnonzero(np.isfinite(self.scores))
        return scored if scored.size else np.arange(len(self))

    @cached_property
    def settled_rows(self) -> IndexArray:
        """:attr:`score_rows` from where the episodes are like later ones."""
        rows, names = self.score_rows, ("episode_length", "episodes", "env_steps")
        is_of_ended = self.score in ("return_mean", "return_mean_100")
        if not is_of_ended or not (self.has(names[0]) or self.has(names[1])):
            return rows
        return rows[count_unsettled(self.scores[rows], *(self.series(n)[rows] for n in names)) :]

    @cached_property
    def score_budget(self) -> int:
        """How many scores the whole budget has, at the pace so far; at least 1."""
        # Per iteration and not per row: a program may log a row in every tenth iteration only.
        learning = self.iteration(-1) - self.warm_up if self.rows else 0
        # Of all stages: those of a new one say nothing about the pace yet.
        scored = int(np.isfinite(self.series(self.score)).sum()) or len(self)
        pace = scored / max(1, learning) if self.rows else 1.0
        return max(1, math.ceil(pace * (self.budget - self.warm_up)))

    def has_improved_lately(self, scores: int) -> bool:
        """Return whether the score had improved at any of the checks at the last scores."""
        return any(self.before_scores(ago).improved for ago in range(scores))

    def before_scores(self, scores: int) -> History:
        """Return the history as it was just before the last ``scores`` scores.

        Rows without a score repeat the check before: agreeing on one score confirms nothing.
        """
        if not scores:
            return self
        if scores > self.score_rows.size:
            return self.without_last(len(self))
        return self.without_last(len(self) - int(self.score_rows[-scores]))

    @cached_property
    def trend(self) -> float:
        """Kendall's tau of the score over the iterations: -1 falls, 1 rises at every row."""
        return kendall_tau(self.known_scores)

    def without_last(self, rows: int) -> History:
        """Return the history as it was ``rows`` rows ago."""
        if rows not in self._earlier:
            # Cached, because patience and withdrawal judge the same earlier checks again and again.
            left = max(0, len(self) - rows)
            ended = self.has_ended and not rows
            self._earlier[rows] = replace(self, rows=self._table[:left], has_ended=ended)
        return self._earlier[rows]
