"""Stop rule: the trial has run its full budget."""

from __future__ import annotations

from tune_jobs.stopping.stop_rule import StopVerdict, TrialObservation


def stop_at_budget(observation: TrialObservation) -> StopVerdict | None:
    """End a trial that has run all iterations of the job."""
    iterations = observation.job.iterations
    if not iterations or observation.iteration < iterations:
        return None  # 0 where the budget is not known
    return StopVerdict("budget", f"ran all {iterations} iterations")
