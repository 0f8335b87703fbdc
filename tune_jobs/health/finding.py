"""A finding is data: what is wrong, since when, how that is known, and what to try."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal, Protocol

from tune_jobs.health.history import SCORE, History, Row
from tune_jobs.health.remedy import Remedy

__all__ = ["SCORE", "SEVERITIES", "Finding", "History", "Row", "Rule", "Severity"]

Severity = Literal["note", "warn", "stop"]
"""``note`` may be fine, ``warn`` is for a person to look at, ``stop`` ends the run."""

SEVERITIES: tuple[Severity, ...] = ("note", "warn", "stop")
"""From mild to severe."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One sickness of one run."""

    symptom: str
    """The rule's id, the same in tables, filters, jobs and the ledger."""
    severity: Severity
    """How bad it is."""
    since: int
    """The iteration at which it began."""
    evidence: str
    """The numbers it was seen in."""
    remedy: str = ""
    """What to try; a rule leaves it empty, and ``diagnose`` words it for the settings in use."""


class Rule(Protocol):
    """A pure function from a history to a finding or nothing; subclass it, one rule a file.

    A rule judges the rows alone and asks for the severity they deserve. Whether that much is
    granted (the job's policy, the budget spent, patience) is decided in one place, ``diagnose``.
    """

    symptom: ClassVar[str]
    """Its id."""
    needs: ClassVar[tuple[str, ...]]
    """Metrics without a finite value of which it cannot judge; ``SCORE`` is the run's score."""
    causes: ClassVar[tuple[str, ...]]
    """What usually brings it about, one clause each."""
    remedy: ClassVar[Remedy]
    """What to try."""
    can_recover: ClassVar[bool] = True
    """Whether runs recover from it: if so, none is ended for it early in its budget."""
    ignores_patience: ClassVar[bool] = False
    """Whether one check is proof enough, so that a stop need not hold for several."""
    stops_rising: ClassVar[bool] = False
    """Whether it may end a run whose score rises: for most a rising score disproves the finding."""
    highest: ClassVar[Severity] = "stop"
    """The severity granted at most unless the job's policy says otherwise."""

    def __call__(self, history: History) -> Finding | None:
        """The sickness seen in this history, or nothing."""
        ...
