"""Base class of the health rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from rungwise.health.finding import Finding, Severity
from rungwise.health.history import History
from rungwise.health.remedy import COMMON, OtherLibrary, Remedy, worded
from rungwise.validation import AtLeastOne, Fraction, validate


@dataclass(frozen=True)
class Rule(ABC):
    """A pure function from a history to a finding or None.

    A subclass states its symptom, its thresholds as fields, and ``judge``; its docstring is the
    meaning of the symptom. This class validates the thresholds and applies the warm-up. A rule asks
    for the severity that the rows deserve; ``diagnose`` decides whether it is granted (policy of
    the job, budget used, patience).
    """

    symptom: ClassVar[str]
    """Id of the rule, the same in tables, filters, jobs and the ledger."""
    title: ClassVar[str]
    """The symptom in one clause."""
    needs: ClassVar[tuple[str, ...]]
    """Metrics of which a finite value is required; ``SCORE`` is the score of the run."""
    stand_ins: ClassVar[Mapping[str, str]] = {}
    """Needed metric -> the one that is enough in logs of others, where it is missing."""
    warm_up: ClassVar[str] = ""
    """The warm-up in words, where it is not just ``rows`` and ``budget_fraction``."""
    nan_policy: ClassVar[str] = "rows without a number are left out"
    """Treatment of NaN and of rows without the metric, in words."""
    causes: ClassVar[tuple[str, ...]]
    """Usual causes, one clause each."""
    remedy: ClassVar[Remedy]
    """Steps to try, in order."""
    can_recover: ClassVar[bool] = True
    """Whether runs recover from it; if so, no run is stopped for it early in its budget."""
    ignores_patience: ClassVar[bool] = False
    """Whether a single check justifies a stop."""
    stops_rising: ClassVar[bool] = False
    """Whether it may stop a run whose score rises; for most rules that disproves the finding."""
    silent_checks: ClassVar[int] = 5
    """Consecutive checks, one per score, at which it must be silent before its finding is
    withdrawn: a value near its threshold would otherwise be reported and withdrawn in turn."""
    silence_disproves: ClassVar[bool] = False
    """Whether its silence disproves it, without a gain: it says that something never happened."""
    stagnant_only: ClassVar[bool] = False
    """Whether it judges only runs whose score has been judged and has not improved."""
    highest: ClassVar[Severity] = "stop"
    """Highest severity granted unless the policy of the job names another."""

    rows: Annotated[int, AtLeastOne] = 1
    """Rows before the rule judges, at most half of the budget."""
    budget_fraction: Annotated[float, Fraction] = 0.0
    """Fraction of the budget that must be used before the rule judges."""

    def __post_init__(self) -> None:
        validate(self, self.symptom)

    def __call__(self, history: History) -> Finding | None:
        """Return the finding in this history, or None."""
        if self.stagnant_only:  # what is flat before the first update has not failed to learn
            history = history.since_learning
            if not history.rows:
                return None
        if not history.is_warmed_up(self.rows, self.budget_fraction):
            return None
        # None means too few scores, which is no evidence of stagnation: only False is.
        if self.stagnant_only and history.progress.improved is not False:
            return None
        return self.judge(history)

    @abstractmethod
    def judge(self, history: History) -> Finding | None:
        """Return the finding in a history that is past the warm-up, or None."""

    def describe_warm_up(self) -> str:
        """Return what the rule waits for and what it leaves out."""
        waits = ["`rows` rows"] if self.rows > 1 else []
        waits += ["`budget_fraction`"] if self.budget_fraction else []
        warm_up = self.warm_up or " and ".join(waits) or "none"
        return f"Warm-up: {warm_up}. NaN policy: {self.nan_policy}."

    def choose_remedy(self, history: History) -> Remedy:
        """Return what to try in this run: a rule may know which of its steps would be void."""
        return self.remedy

    def word_remedy(self, history: History) -> str:
        """Return what to try in this run, in the words of its library."""
        other = history.other or OtherLibrary(None if history.settings else COMMON)
        remedy = self.choose_remedy(history)
        return worded(remedy, history.in_use, bool(history.settings), other)

    def is_disproved(self, history: History) -> bool:
        """Return whether the run disproves an earlier finding, if the rule is silent since then."""
        # A symptom that is as bad in a run whose score rises (a lost worker) stays.
        return self.silence_disproves or (bool(history.progress.improved) and not self.stops_rising)

    def report(self, severity: Severity, since: int, evidence: str) -> Finding:
        """Return a finding of this rule's symptom."""
        return Finding(self.symptom, severity, since, evidence)
