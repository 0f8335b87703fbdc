"""Explanation of a finding of ``rungwise check``, or of one about a sweep."""

from __future__ import annotations

import dataclasses

from tune_jobs.health.finding import Severity


@dataclasses.dataclass(frozen=True)
class CheckSymptom:
    """A finding that a probe or the outcome of a sweep may report.

    Where a health rule has the same id, the rule holds title, meaning and causes.
    """

    probe: str
    """The probe that reports it; empty if it is about a sweep."""
    highest: Severity
    """Its highest severity."""
    remedy: str
    """What to try."""
    title: str = ""
    """The fault in one clause."""
    meaning: str = ""
    """How it is found, and its effect on training."""
    causes: tuple[str, ...] = ()
    """Usual causes, one clause each."""
