"""Stop rule: a person asked for the end of a trial."""

from __future__ import annotations

from pathlib import Path

from tune_jobs.run_log.stop_requests import is_stop_requested, list_stop_requests
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.stopping.stop_rule import StopVerdict, TrialObservation

STOPPED_BY_HAND = StopVerdict("stopped", "stopped by hand")


def stop_on_request(observation: TrialObservation) -> StopVerdict | None:
    """End a trial for which the run directory holds a stop request."""
    requested = is_stop_requested(observation.directory, observation.trial)
    return STOPPED_BY_HAND if requested else None


def withdraw_waiting_trials(directory: Path, scheduler: RecordedASHA) -> list[str]:
    """Take the trials with a stop request that wait at a rung out of the scheduler.

    :func:`stop_on_request` sees a trial only when it reports, and a trial that waits at a rung may
    never report again.

    Returns:
        The ids of these trials.
    """
    waiting = [t for t in list_stop_requests(directory) if scheduler.is_waiting(t)]
    for trial in waiting:
        scheduler.withdraw(trial)
    return waiting
