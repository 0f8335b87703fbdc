"""The interface of a stop rule: one observation of a trial in, a verdict or None out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tune_jobs.health import Finding
from tune_jobs.health.metric_table import MetricTable
from tune_jobs.jobs.job import Job


@dataclass(frozen=True)
class TrialObservation:
    """Everything a stop rule may read about a trial after one of its iterations."""

    job: Job
    directory: Path
    """The run directory."""
    trial: str
    iteration: int
    score: float | None
    """None where this iteration measured none, NaN where training has diverged."""
    is_last: bool
    """Whether the trial ends with this iteration anyway: its budget or its program is over."""
    fault: str
    """The message of a failed environment; empty where nothing failed."""
    history: MetricTable
    """All iterations of the trial, the latest last."""
    findings: Sequence[Finding]
    """Findings of the health rules on this history."""
    compare_with_siblings: Callable[[str], str]
    """Symptom -> a sentence about the other trials, or an empty text.

    A function, because the comparison costs too much to be made at every iteration.
    """


@dataclass(frozen=True)
class StopVerdict:
    """Why a trial ends."""

    reason: str
    """One of the end reasons of :class:`tune_jobs.run_log.events.EndRow`."""
    sentence: str
    """The reason with the values that decided it, for people."""


StopRule: TypeAlias = Callable[[TrialObservation], StopVerdict | None]
