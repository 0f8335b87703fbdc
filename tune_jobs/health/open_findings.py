"""Open findings of a sweep: reported and not withdrawn."""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict

from tune_jobs.health import Finding, History
from tune_jobs.health.withdrawal import disproved
from tune_jobs.run_log.events import FindingRow


class OpenFindings:
    """Open findings by trial, updated with every finding row."""

    def __init__(self) -> None:
        self._rows: defaultdict[str, dict[tuple[str, str], FindingRow]] = defaultdict(dict)

    def take(self, row: FindingRow) -> None:
        """Add a finding, or remove one that is withdrawn."""
        if row.withdrawn:
            self._rows[row.trial].pop((row.symptom, row.severity), None)
        else:
            self._rows[row.trial][row.symptom, row.severity] = row

    def holds(self, trial: str, finding: Finding) -> bool:
        """Return whether a finding of this symptom and severity is open."""
        return (finding.symptom, finding.severity) in self._rows[trial]

    def withdrawals(self, trial: str, history: History) -> list[FindingRow]:
        """Return the rows that withdraw what the trial's history disproves."""
        rows = self._rows[trial].values()
        gone = disproved(dict.fromkeys(row.symptom for row in rows), history)
        at = history.iteration(-1)
        return [
            dataclasses.replace(row, withdrawn=at, time=time.time())
            for row in rows
            if row.symptom in gone
        ]
