"""Stop rule: the environment raised more errors than allowed."""

from __future__ import annotations

from pathlib import Path

from tune_jobs.formatting import count, format_command
from tune_jobs.stopping.stop_rule import StopVerdict, TrialObservation

ENVIRONMENT_FAILED = "environment_failed"
"""Symptom of a trial that continues after an exception of its environment."""


def stop_at_fault(observation: TrialObservation) -> StopVerdict | None:
    """End a trial whose environment failed too often, or whose program cannot be followed."""
    if not observation.fault:
        return None
    # A program without a readable log would fail again; an environment may be mended.
    if observation.job.is_program:
        return StopVerdict("error", observation.fault)
    return StopVerdict("error", f"{observation.fault}; {suggest_resume(observation.directory)}")


def suggest_resume(directory: Path) -> str:
    """Return how a trial that failed is continued."""
    return (
        f"`{format_command('rungwise', 'resume', directory)}` continues it from its last checkpoint"
    )


def describe_last_failure(sentence: str, failures: int) -> str:
    """Return how often an environment has failed, and how the last time.

    >>> describe_last_failure("Lift-v0 failed in step(): KeyError: 'a'", 4)
    "Lift-v0 failed in step(): KeyError: 'a'; its environments have failed 4 times"
    """
    if failures < 2:
        return sentence
    return f"{sentence}; its environments have failed {count(failures, 'time')}"
