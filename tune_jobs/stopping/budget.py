"""Stop rule: the trial has run its full budget.

A program ends by itself: after its budget it may still write what it has learnt.
"""

from __future__ import annotations

from tune_jobs.stopping.stop_rule import StopVerdict, TrialObservation


def stop_at_budget(observation: TrialObservation) -> StopVerdict | None:
    """End a trial that has run all iterations of the job."""
    iterations = observation.job.iterations
    if observation.job.is_program or observation.iteration < iterations:
        return None
    return StopVerdict("budget", f"ran all {iterations} iterations")
