"""A growing log as the iterations of a trial: a bounded number of rows, whatever is logged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.health.metric_table import as_number
from rungwise.health.remedy import OtherLibrary
from rungwise.logs.likely_return import is_return
from rungwise.logs.log_record import Record
from rungwise.logs.names.catalogue_metric import RETURNS
from rungwise.logs.translation import translate_log
from rungwise.metrics import METRICS
from rungwise.validation import InputError, unknown_name_error

FIRST, LAST = 20, 60
"""Records that new ones are read together with: the first show what the largest entropy is, the
last whether a NaN stays and how many episodes have finished since."""
PART = 400
"""New records that are read together at most."""
MOST = 500
"""Iterations of a program of unknown length before each of them holds twice as many rows."""
SUMMED = ("episodes", "updates", "iteration_s", "nonfinite", "runners_lost")
"""Metrics of a row that add up; of others the mean is taken, or the last where they count."""
COUNTED = ("env_steps", "env_steps_per_s", "lr", "gamma")
SHORTEST_UNKNOWN = 200
"""Iterations that a training of unknown length is taken to have at least."""
SUCCESS = "success_rate"
"""The score of a log without any return."""


@dataclass(frozen=True)
class Iteration:
    """The rows that a program logged in one part of its budget, merged."""

    number: int
    """From 1."""
    rows: int
    """How many rows of the log it holds."""
    score: float | None
    metrics: dict[str, Any]
    """Values by the catalogue's names."""


@dataclass
class _Group:
    """The rows of one iteration, until a row of the next one comes."""

    number: int
    rows: list[dict[str, Any]]
    scores: list[float]


class LogRows:
    """Turns the records of a growing log into iterations.

    With a budget an iteration is an equal part of it. Without one it is a row of the log, then two
    rows, then four: a program that logs for a day has some thousand iterations. So it is beyond
    the budget.

    Args:
        path: the log, for messages.
        metric: the name in the log, or in the catalogue, of the score.
        rename: names of the log, each with the catalogue's.
        progress: the name in the log of what the budget counts; empty counts environment steps
            where the log has them, else rows; None counts rows.
        budget: how far the progress goes; 0 where it is not known.
        iterations: parts of the budget.
    """

    def __init__(
        self,
        path: Path,
        metric: str,
        rename: Mapping[str, str],
        progress: str | None = "",
        budget: float = 0.0,
        iterations: int = 100,
    ) -> None:
        self.path, self.metric, self.rename = path, metric, dict(rename)
        self.progress, self.budget, self.iterations = progress, budget, iterations
        self.unmapped: list[str] = []
        """Numbers of the log that are none of the catalogue's."""
        self.likely_return = ""
        """The one of them that looks most like a return, where the log has none."""
        self.note = ""
        """Which column is taken for the return by its name."""
        self.other: OtherLibrary | None = None
        """The library that wrote it, where it is known."""
        self.score = metric
        """The name of the score in rows, where no return is known that of a success rate."""
        self._context: list[Record] = []
        self.names: set[str] = set()
        """All names that its records have had."""
        self.rows_seen = 0
        """Rows of the log so far."""
        self.share_reached = 0.0
        """How far the progress is, as a share of the budget; 0 without one."""
        self.has_progress = False
        """Whether any row has had what the budget counts."""
        self._group_size, self._has_score, self._agent_learns = 1, False, False
        self._group = _Group(1, [], [])

    def add(self, records: Sequence[Record], *, final: bool = False) -> list[Iteration]:
        """Take over new records; return the iterations that they complete.

        Args:
            records: in their order.
            final: whether the log is over: the last iteration is complete.

        Raises:
            InputError: a value is not a number, or the log does not have the score's name.
        """
        complete: list[Iteration] = []
        for start in range(0, len(records), PART):
            complete += self._add_part(records[start : start + PART])
        if final and self._group.rows:
            complete.append(self._close_group(self._group.number + 1))
        return complete

    @property
    def unfinished(self) -> Iteration | None:
        """The iteration that later rows may belong to; None before the first row."""
        return self._merge_group() if self._group.rows else None

    def _add_part(self, records: Sequence[Record]) -> list[Iteration]:
        before = self._context
        if len(before) > FIRST + LAST:
            before = [*before[:FIRST], *before[-LAST:]]
        self._context = [*before, *records]
        log = translate_log(self.path, "", "", self._context, self.rename, hindsight=False)
        self.unmapped, self.likely_return, self.note = log.unmapped, log.likely_return, log.note
        self.other = log.other or self.other  # later rows have more names
        score = log.score if self.metric == RETURNS[0] else self.metric
        # Scores of one log are all returns, or all success rates.
        if not self._has_score or SUCCESS not in (score, self.score):
            self.score = score
        self.names.update(name for record in records for name in record.values)
        complete: list[Iteration] = []
        for position, row in zip(log.places, log.rows, strict=True):
            if position < len(before):
                continue
            self.rows_seen += 1
            values = self._context[position].values
            if self.progress:
                self.has_progress |= self.progress in values or self.progress in row
            number = self._number_iteration(values, row)
            if number > self._group.number and self._group.rows:
                complete.append(self._close_group(number))
            self._group.number = max(number, self._group.number)
            self._group.rows.append(row)
            score = self._read_score(values, row)
            self._group.scores.append(score)
            self._has_score = self._has_score or math.isfinite(score)
            self._agent_learns |= "env_steps" in row or "value_loss" in row
        return complete

    def _number_iteration(self, values: Mapping[str, object], row: Mapping[str, Any]) -> int:
        """Return the iteration that a row belongs to."""
        if not self.budget:
            if len(self._group.rows) < self._group_size:
                return self._group.number
            self._group_size = 2 ** (self._group.number // MOST)
            return self._group.number + 1
        if self.progress:
            reached = as_number(values.get(self.progress, row.get(self.progress)))
        else:
            steps = self.rows_seen if self.progress is None else row.get("env_steps")
            reached = as_number(self.rows_seen if steps is None else steps)
        if not math.isfinite(reached):
            return self._group.number
        self.share_reached = max(self.share_reached, reached / self.budget)
        share = reached / self.budget
        if share <= 1:
            return max(math.ceil(share * self.iterations), 1)
        # Beyond the budget an iteration holds more and more, as without one. The last rollout ends
        # a little behind it, and belongs to the last iteration.
        return math.floor((1 + math.log(share)) * self.iterations)

    def _read_score(self, values: Mapping[str, object], row: Mapping[str, Any]) -> float:
        """Return the score of a row; NaN where it has none."""
        if self.metric in values:
            return as_number(values[self.metric])
        # One kind in all rows: the mean of the last hundred episodes lags behind the exact one.
        return as_number(row.get(self.score))

    def _close_group(self, number: int) -> Iteration:
        """Return the iteration of the present group, and begin that of ``number``."""
        iteration = self._merge_group()
        self._group = _Group(number, [], [])
        return iteration

    def _merge_group(self) -> Iteration:
        group = self._group
        metrics = merge_rows(group.rows)
        del metrics["iteration"]  # counted within what was read together
        finite = [score for score in group.scores if math.isfinite(score)]
        score = float(np.mean(finite)) if finite else None
        if score is not None:
            metrics[self.metric] = score
        if metrics.get("nonfinite"):
            score = math.nan
        return Iteration(group.number, len(group.rows), score, metrics)

    def check_progress(self) -> None:
        """Refuse a progress that the log does not have.

        Raises:
            InputError: with the nearest names that it has.
        """
        if self.progress and not self.has_progress:
            raise unknown_name_error("name", self.progress, sorted(self.names), f"in {self.path}")

    @property
    def is_smoothed(self) -> bool:
        """Whether the score is the mean of 100 episodes, whose rows repeat each other."""
        return (self.metric, self.score) == RETURNS

    @property
    def lacks_score(self) -> bool:
        """Whether it has no score, and not only because no episode has ended."""
        if self.metric in self.names or self._has_score:
            return False
        # That no episode has ended is reported by the rule no_episode_ends.
        return not (
            self.metric in RETURNS and self._agent_learns and not is_return(self.likely_return)
        )

    @property
    def columns(self) -> list[str]:
        """The names of its last record, in their order."""
        return list(self._context[-1].values) if self._context else []

    def check_names(self) -> None:
        """Refuse a score or a progress that the log does not have.

        A log of steps or of a value's losses in which nothing is named as a return is one of an
        environment whose episodes do not end.

        Raises:
            InputError: with the nearest names that it has.
        """
        self.check_progress()
        if not self.lacks_score:
            return
        if self.metric in METRICS:
            hint = f" (`--metric {self.likely_return}`?)" if self.likely_return else ""
            raise InputError(
                f"{self.path} has no {self.metric}, or by a name that is not known: name its score "
                f"with --metric{hint}."
            )
        raise unknown_name_error("name", self.metric, sorted(self.names), f"in {self.path}")


def assume_budget(rows: int) -> int:
    """Return the length of a training of unknown length after ``rows`` iterations.

    It is always at least twice as many: a live run is not at its end, where the rules for runs
    without any gain would end it.
    """
    return max(SHORTEST_UNKNOWN, 2 * rows)


def merge_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one row for several: means, sums of what adds up, the last of what counts."""
    if len(rows) == 1:
        return dict(rows[0])
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row]
        numbers = [v for v in values if isinstance(v, int | float) and math.isfinite(v)]
        if not numbers or name in COUNTED:
            merged[name] = (numbers or values)[-1]
        else:
            merged[name] = float(np.sum(numbers) if name in SUMMED else np.mean(numbers))
    kl = [as_number(row.get(name)) for row in rows for name in ("kl", "kl_max")]
    if finite := [value for value in kl if math.isfinite(value)]:
        merged["kl_max"] = max(finite)  # a jump of one row, which the mean hides
    return merged
