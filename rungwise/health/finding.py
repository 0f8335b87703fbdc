"""A finding: what is wrong with a run, since when, the evidence, and what to try."""

from __future__ import annotations

import dataclasses
from typing import Literal

Severity = Literal["note", "warn", "stop"]
"""``note`` may be harmless, ``warn`` is for a person to look at, ``stop`` ends the run."""

Limit = Literal["off", "note", "warn", "stop"]
"""Highest severity that a job grants a rule, or ``off``."""

SEVERITIES: tuple[Severity, ...] = ("note", "warn", "stop")
"""From mild to severe."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One symptom seen in one run."""

    symptom: str
    """Id of the rule, the same in tables, filters, jobs and the ledger."""
    severity: Severity
    """How severe it is."""
    since: int
    """Iteration at which it began."""
    evidence: str
    """The values that show it."""
    remedy: str = ""
    """Steps to try. A rule leaves it empty; ``diagnose`` phrases it for the settings in use."""
