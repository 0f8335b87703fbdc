"""Result of one probe."""

from __future__ import annotations

import dataclasses
from typing import Any

from tune_jobs.check.findings_catalogue import SYMPTOMS
from tune_jobs.health.finding import Finding, Severity


@dataclasses.dataclass
class ProbeResult:
    """Findings and figures of a probe, and what it could not judge."""

    findings: list[Finding] = dataclasses.field(default_factory=list[Finding])
    """Findings; ``since`` is a step of the check, 0 where there is none."""
    figures: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Name -> number, text, or numbers by name."""
    not_judged: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    """Symptom -> why it cannot be judged."""

    def add_finding(
        self, symptom: str, severity: Severity, evidence: str, since: int = 0, remedy: str = ""
    ) -> None:
        """Add a finding with the remedy of its symptom, or a better one."""
        remedy = remedy or SYMPTOMS[symptom].word_remedy()
        self.findings.append(Finding(symptom, severity, since, evidence, remedy))
