"""Stop rule: the score has not improved for the job's patience (early stopping)."""

from __future__ import annotations

from tune_jobs.health.plateau import has_reached_plateau
from tune_jobs.stopping.stop_rule import StopVerdict, TrialObservation


def stop_at_plateau(observation: TrialObservation) -> StopVerdict | None:
    """End a trial without improvement for ``job.patience`` iterations.

    The rule reads the metric as each iteration measured it and not the score: the score is pooled
    over trailing iterations, so consecutive scores share episodes and are not independent.
    """
    job, rows = observation.job, observation.history
    if not job.patience:
        return None
    sign = 1 if job.mode == "max" else -1
    values, iterations = sign * rows.column(job.metric), rows.column("iteration")
    if not has_reached_plateau(values, iterations, job.patience, job.min_delta):
        return None
    return StopVerdict("plateau", f"the score has not improved for {job.patience} iterations")
