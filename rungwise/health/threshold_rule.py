"""Rules that compare one metric with a limit: their entries are data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from rungwise.health.finding import Finding, Severity
from rungwise.health.history import History
from rungwise.health.improvement import BoolArray, FloatArray, median
from rungwise.health.rule import Rule
from rungwise.validation import AtLeastOne, Fraction

Comparison = Literal[">", ">=", "<", "<=", "=="]
_COMPARE: Mapping[Comparison, np.ufunc] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
}


class ByImprovement(NamedTuple):
    """Severities by whether the score has improved; None where there is no finding."""

    improved: Severity | None
    not_judged: Severity | None
    """While there are too few scores to say whether it has."""
    stagnant: Severity | None


@dataclass(frozen=True)
class ThresholdRule(Rule):
    """A rule whose first needed metric lies beyond a limit in the last rows.

    An entry states the comparison and the sentence, and overrides a method only where its rule
    differs from the others.
    """

    comparison: ClassVar[Comparison] = ">"
    """How a sick value compares with the limit."""
    threshold: ClassVar[str | float]
    """The limit, or the name of the threshold that it is."""
    grades: ClassVar[tuple[Severity, ...]] = ()
    """Severities with a threshold of that name each, the mild ones first."""
    statistic: ClassVar[Literal["median", "every", "latest"]] = "median"
    """Value compared: the median of the last rows (one exceptional row is no symptom), every one
    of them, or the latest value of the run."""
    is_complete: ClassVar[bool] = False
    """Whether each of the last rows must have the metric."""
    while_positive: ClassVar[str] = ""
    """A metric that must be positive in all of the last rows, or there is no fault."""
    by_improvement: ClassVar[ByImprovement | None] = None
    """The severity where the score decides it; else it is ``highest``."""
    sentence: ClassVar[str]
    """The evidence. ``{value}`` is what was compared (of every row, that nearest to the limit),
    ``{rows}`` the number of rows, ``{positive}`` the median of ``while_positive``; the other words
    are those of :meth:`describe`."""

    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations that are judged."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the metric is beyond its limit."""
        metric = self.needs[0]
        recent = history.recent(metric, self.rows)
        if self.statistic == "latest":
            recent = np.array([history.latest(metric)])
        if recent.size < (self.rows if self.is_complete else 1):
            return None
        judged = recent
        if self.statistic == "median":
            judged = self.convert(np.array([median(recent)]))
        # NaN compares as false with every limit: without a value there is no finding.
        if not self._find_sick(judged).all() or self.is_excused(history):
            return None
        positive = history.recent(self.while_positive, self.rows)
        if self.while_positive and (not positive.size or positive.min() <= 0):
            return None
        value = float(judged.min() if self.comparison.startswith(">") else judged.max())
        severity = self.choose_severity(history, value)
        if severity is None:
            return None
        # The latest value may have been measured in any row, once.
        window = len(history) if self.statistic == "latest" else self.rows
        sick = self._find_sick(self.convert(history.series(metric)))
        words = {"value": value, "rows": history.count_last(self.rows), **self.describe(history)}
        if self.while_positive:
            words["positive"] = median(positive)
        return self.report(
            severity, history.find_onset(sick, window), self.sentence.format(**words)
        )

    def _find_sick(self, values: FloatArray, threshold: str = "") -> BoolArray:
        """Return which values [N] are beyond a threshold, by default that of the rule."""
        name = threshold or self.threshold
        bound = getattr(self, name) if isinstance(name, str) else name
        return _COMPARE[self.comparison](values, bound)

    def convert(self, values: FloatArray) -> FloatArray:
        """Return what the limit is for from values [N] of the metric."""
        return values

    def is_excused(self, history: History) -> bool:
        """Return whether something else explains the values, so that there is no finding."""
        return False

    def choose_severity(self, history: History, value: float) -> Severity | None:
        """Return the severity of a value beyond the limit; None for no finding."""
        values = np.array([value])
        beyond: list[Severity] = [g for g in self.grades if self._find_sick(values, g)[0]]
        if beyond:
            return beyond[-1]
        by = self.by_improvement
        if by is None:
            return self.highest
        if history.progress.improved is None:
            return by.not_judged
        return by.improved if history.progress.improved else by.stagnant

    def describe(self, history: History) -> Mapping[str, object]:
        """Return further words of the sentence."""
        return {}


@dataclass(frozen=True)
class LateWarning(ThresholdRule):
    """A rule for runs that have not improved, whose findings are notes early in the budget."""

    highest = "warn"
    stagnant_only = True

    rows: Annotated[int, AtLeastOne] = 10
    budget_fraction: Annotated[float, Fraction] = 0.2
    warn_from: Annotated[float, Fraction] = 0.4
    """Fraction of the budget from which it warns instead of noting."""

    def choose_severity(self, history: History, value: float) -> Severity:
        """Return a note early in the budget."""
        return "warn" if history.budget_fraction_used >= self.warn_from else "note"
