"""Stop rule: the score has not improved for the job's patience (early stopping)."""

from __future__ import annotations

from tune_jobs.formatting import format_measurement
from tune_jobs.health.metric_table import MetricTable
from tune_jobs.health.plateau import Stagnation, has_reached_plateau, measure_stagnation
from tune_jobs.jobs.job import Job
from tune_jobs.stopping.stop_rule import StopVerdict, TrialObservation


def stop_at_plateau(observation: TrialObservation) -> StopVerdict | None:
    """End a trial without improvement for ``job.patience`` iterations.

    The rule reads the metric as each iteration measured it and not the score: the score is pooled
    over trailing iterations, so consecutive scores share episodes and are not independent.
    """
    job, rows = observation.job, observation.history
    if not job.patience:
        return None
    sign, iterations = _get_sign(job), rows.column("iteration")
    values = sign * rows.column(job.metric)
    if not has_reached_plateau(values, iterations, job.patience, job.min_delta):
        return None
    sentence = f"the score has not improved for {job.patience} iterations"
    seen = measure_stagnation(values, iterations, job.patience, job.min_delta)
    if seen is not None:
        best, latest = (format_measurement(sign * value) for value in (seen.best, seen.latest))
        averaged = f" (means of {seen.averaged} scores)" if seen.averaged > 1 else ""
        sentence += f": best {best} at iteration {seen.best_at}, now {latest}{averaged}"
    return StopVerdict("plateau", sentence)


def count_stagnant_iterations(job: Job, history: MetricTable) -> int:
    """Return the number of iterations without a better score, at most the patience; 0 without."""
    if not job.patience:
        return 0
    values, iterations = history.column(job.metric), history.column("iteration")
    seen: Stagnation | None = measure_stagnation(
        _get_sign(job) * values, iterations, job.patience, job.min_delta
    )
    return min(seen.iterations, job.patience) if seen else 0


def _get_sign(job: Job) -> int:
    """Return the factor that makes a higher score a better one."""
    return 1 if job.mode == "max" else -1
