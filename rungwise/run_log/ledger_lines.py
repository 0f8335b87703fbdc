"""The lines of a run's ledger, from its events; the columns are those of :mod:`.ledger`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rungwise.run_log.events import JobRow, Row
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import TrialOutcome


def list_ledger_lines(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the lines of a run's ledger: of each trial its decisions, then its costs.

    Raises:
        InputError: if there is no job row among the rows.
    """
    outcome = Outcome.from_rows(rows)
    return [line for trial in outcome.trials for line in _lines(trial, outcome.job)]


def _lines(trial: TrialOutcome, job: JobRow) -> list[dict[str, Any]]:
    decisions = [
        {
            "trial": trial.id,
            "kind": "decision",
            "iteration": row.iteration,
            "reason": "wait" if row.waits else "keep" if row.keep else "stop",
            "score": row.score,
            "sentence": row.sentence,
        }
        for row in trial.decisions
    ]
    return [*decisions, _last(trial, job)]


def _last(trial: TrialOutcome, job: JobRow) -> dict[str, Any]:
    # None where nothing is known to extrapolate from: a trial that ended without an iteration.
    saved = trial.seconds_saved
    return {
        "trial": trial.id,
        "kind": "open" if trial.end_reason is None else "end",
        "iteration": trial.iterations,
        "reason": trial.end_reason,
        "score": trial.score,
        "iterations_run": trial.iterations,
        "iterations_not_run": trial.iterations_not_run,
        "iterations_saved": trial.iterations_saved,
        "iterations_observed": trial.observed_iterations_saved,
        "env_steps": trial.env_steps,
        "env_steps_budget": job.steps * job.seeds or None,
        "env_steps_saved": trial.env_steps_saved,
        "seconds": trial.seconds,
        "seconds_saved": saved,
        "cpu_seconds": trial.seconds * job.cpus_per_trial,
        "cpu_seconds_saved": None if saved is None else saved * job.cpus_per_trial,
        "gpu_seconds": trial.seconds * job.gpus_per_trial,
        "gpu_seconds_saved": None if saved is None else saved * job.gpus_per_trial,
        "sentence": trial.sentence,
    }
