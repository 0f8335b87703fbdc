"""Explanation of a finding of ``rungwise check``, or of one about a sweep."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tune_jobs.health.finding import Severity
from tune_jobs.health.remedy import OtherLibrary, Remedy, worded


@dataclasses.dataclass(frozen=True)
class CheckSymptom:
    """A finding that a probe or the outcome of a sweep may report.

    Where a health rule has the same id, the rule holds title, meaning and causes.
    """

    probe: str
    """The probe that reports it; empty if it is about a sweep."""
    highest: Severity
    """Its highest severity."""
    remedy: str | Remedy
    """What to try; steps where it depends on the settings of the algorithm."""
    title: str = ""
    """The fault in one clause."""
    meaning: str = ""
    """How it is found, and its effect on training."""
    causes: tuple[str, ...] = ()
    """Usual causes, one clause each."""

    def word_remedy(
        self, settings: Mapping[str, object] | None = None, other: OtherLibrary | None = None
    ) -> str:
        """Return what to try as a sentence.

        Args:
            settings: all settings of the algorithm; None where it is not known.
            other: the settings of one of another library.
        """
        if isinstance(self.remedy, str):
            return self.remedy
        if other is not None:
            return worded(self.remedy, other.values, names=other.names)
        return worded(self.remedy, settings, complete=settings is not None)
