"""Findings of ``rungwise check`` and of sweeps: the catalogue, and the result of one probe.

``ProbeResult.add_finding`` takes its remedies from the catalogue, ``findings.yaml``, and accepts no
other ids, so that ``rungwise explain`` can explain every finding. This module imports neither torch
nor Ray, because explaining must be fast.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rungwise.health import remedy as remedies
from rungwise.health.finding import Finding, Severity
from rungwise.health.remedy import OtherLibrary, Remedy, RemedyStep, worded

TERM_WITHOUT_GRADIENT = "term_without_gradient"
"""Finding for a term of the loss without a separate health rule."""
SWEEP = "sweep"
"""In the catalogue, the key of findings about the trials of a sweep, which no probe reports."""


@dataclasses.dataclass(frozen=True)
class CheckSymptom:
    """A finding that a probe or the outcome of a sweep may report."""

    probe: str
    """The probe that reports it; empty if it is about a sweep."""
    highest: Severity
    """Its highest severity."""
    remedy: str | Remedy
    """Advice in words; steps where it depends on the settings of the algorithm."""
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
            return worded(self.remedy, other.values, other=other)
        return worded(self.remedy, settings, complete=settings is not None)


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


def _read_catalogue() -> dict[str, CheckSymptom]:
    """Read ``findings.yaml``: id -> explanation, in the order of the probes."""
    text = Path(__file__).with_name("findings.yaml").read_text(encoding="utf-8")
    # The loader in C, where there is one, takes an eighth of the time of an answer of `explain`.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    catalogue: dict[str, dict[str, dict[str, Any]]] = yaml.load(text, loader)
    return {
        symptom: CheckSymptom(
            probe="" if probe == SWEEP else probe,
            highest=about["highest"],
            remedy=_read_remedy(about["remedy"]),
            title=about.get("title", ""),
            meaning=about.get("meaning", ""),
            causes=tuple(about.get("causes", ())),
        )
        for probe, findings in catalogue.items()
        for symptom, about in findings.items()
    }


def _read_remedy(remedy: str | list[Any]) -> str | Remedy:
    return remedy if isinstance(remedy, str) else tuple(map(_read_step, remedy))


def _read_step(step: str | dict[str, Any]) -> str | RemedyStep:
    """Return a clause, or the step that a function or constant of ``health.remedy`` gives."""
    if isinstance(step, str):
        return step
    (kind, setting), *rest = step.items()
    if kind == "shared":
        return getattr(remedies, setting)
    return getattr(remedies, kind)(setting, **dict(rest))


_CATALOGUE = _read_catalogue()
SYMPTOMS = {symptom: about for symptom, about in _CATALOGUE.items() if about.probe}
"""Findings of ``rungwise check``: id -> explanation."""
SWEEP_FINDINGS = {symptom: about for symptom, about in _CATALOGUE.items() if not about.probe}
"""Findings about a sweep: what its own results say about the way it was run."""
