"""Stop rule: the score reached the job's target."""

from __future__ import annotations

from tune_jobs.stopping.stop_rule import StopVerdict, TrialObservation


def stop_at_target(observation: TrialObservation) -> StopVerdict | None:
    """End a trial whose score is at least as good as ``job.target``."""
    job, score = observation.job, observation.score
    if job.target is None or score is None:
        return None
    # A NaN score compares false either way, so a diverged trial never reaches a target.
    reached = score >= job.target if job.mode == "max" else score <= job.target
    if not reached:
        return None
    return StopVerdict("target", f"reached the target {job.target:g} with {score:.4g}")
