"""The judgement of one run from the rows of its log up to now: live and afterwards the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from rungwise.health.diagnosis import RULES, Diagnosis, Limit, diagnose
from rungwise.health.finding import Finding
from rungwise.health.history import History
from rungwise.health.improvement import Improvement
from rungwise.health.metric_table import MetricTable
from rungwise.logs.log import LATE, SHORTEST
from rungwise.logs.log_record import Record
from rungwise.logs.log_rows import RETURNS, Iteration, LogRows, assume_budget

PARTS = 500
"""Parts of a known budget: rows that fall into one of them are judged as one."""
RESUMED: dict[str, Limit] = dict.fromkeys(
    [
        *(symptom for symptom, rule in RULES.items() if rule.stagnant_only),
        *("frozen_policy", "constant_reward", "no_exploration"),
    ],
    "note",
)
"""Limits of the rules that judge what has not changed since the start, for a training that was
resumed: what its score began at is not known, so that its budget says nothing about what it should
have gained, and it may have learnt all there is."""
Mode = Literal["min", "max"]
Verdict = Literal["too_short", "healthy", "note", "warn", "stop"]
"""The worst severity of a run's findings, where it has enough rows."""


class RunJudge:
    """Judges a run whose rows come one after the other; :class:`Watch` has the arguments."""

    def __init__(
        self,
        *,
        budget: float = 0.0,
        progress: str | None = "",
        metric: str = RETURNS[0],
        mode: Mode = "max",
        rename: Mapping[str, str] | None = None,
        limits: Mapping[str, Limit] | None = None,
    ) -> None:
        # A path is for messages of logs that are files.
        self.log = LogRows(Path(), metric, rename or {}, progress, budget, PARTS)
        self.rows = 0
        """Rows of the log that are judged."""
        self.diagnosis = Diagnosis((), (), {})
        """The findings in the rows up to the last judgement, and what could not be judged."""
        self.verdict: Verdict = "too_short"
        """The worst severity that they find; ``healthy`` where they find nothing in enough rows."""
        self.stop: Finding | None = None
        """The first finding that ends the run."""
        self._mode: Mode = mode
        self._limits: dict[str, Limit] = dict(limits or {})
        self._table = MetricTable()

    def append(self, iteration: Iteration) -> None:
        """Add a part of the budget."""
        if not self._table and iteration.number > LATE * PARTS:
            self.log.budget, self._limits = 0.0, RESUMED | self._limits
        self.rows += iteration.rows
        self._table.append({**iteration.metrics, "iteration": self.rows})

    def judge(self, last: Iteration) -> History:
        """Judge what was added, whose last part is given, and return it."""
        budget = assume_budget(self.rows)
        if self.log.budget and last.number <= PARTS:
            budget = max(1, round(self.rows * PARTS / last.number))
        log = self.log
        judged = (self._table, budget, log.score, self._mode)
        history = History(*judged, is_smoothed=log.is_smoothed, other=log.other)
        self.diagnosis = diagnose(history, self._limits)
        self.stop = self.stop or self.diagnosis.stop
        self.verdict = decide_verdict(self.diagnosis, history, self.rows)
        return history

    def take_back(self, last: Iteration) -> None:
        """Take back the last part, which is not complete yet."""
        self._table.pop()
        self.rows -= last.rows

    def replay(self, records: Sequence[Record], *, final: bool = False) -> Iterator[Iteration]:
        """Judge after each part that the records of a finished log complete, up to a stop.

        Args:
            records: in their order.
            final: whether they are the last.
        """
        for iteration in self.log.add(records, final=final):
            self.append(iteration)
            if self.stop is None:
                self.judge(iteration)
            yield iteration


def count_needed_rows(history: History) -> int:
    """Iterations before a run without findings can be called well.

    Until then most rules are in their warm-up, which counted in rows asks for half of the budget at
    most, or know too few scores to say whether these have improved.
    """
    return max(Improvement.rows, math.ceil(min(SHORTEST, history.budget) / 2))


def decide_verdict(diagnosis: Diagnosis, history: History, rows: int) -> Verdict:
    """Return the worst severity that the rules find; without, whether there are enough rows."""
    if diagnosis.findings:
        return diagnosis.findings[0].severity
    return "healthy" if rows >= count_needed_rows(history) else "too_short"
