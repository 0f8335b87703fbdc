"""Metrics of the runs below a directory for Prometheus, read from their event logs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.responses import Response

from cluster.queue.orders import get_run_state
from cluster.queue.run_queue import RunQueue
from cluster.web.run_index import RunIndex, SharedView
from cluster.web.run_view import RunView
from rungwise.run_log.events import FindingRow
from rungwise.run_log.trial_outcome import TrialOutcome, to_finite_float

RECENT_S = 86400.0
"""Seconds after its last row for which a run has figures of its own: older logs are not read."""
GAUGES = {
    "runs": ("state", "Runs by state."),
    "disk_used_bytes": ("", "Disk that the runs of the service take."),
    "run_driver_alive": ("run", "1 while a run is driven, 0 if its driver was lost, else none."),
    "run_best_score": ("run", "Score of the best trial."),
    "run_iterations": ("run", "Iterations of all trials; less after a resume that repeats some."),
    "run_env_steps": ("run", "Environment steps of all trials."),
    "run_iteration_seconds": ("run", "Mean duration of an iteration of a trial."),
    "run_last_event_timestamp_seconds": ("run", "Time of the last row, since 1970."),
    "run_trials": ("run state", "Trials by state: running, waiting, or why they ended."),
    "run_findings": ("run symptom severity", "Findings so far; failures and preemptions, too."),
}
"""The labels of each gauge and what it measures."""
Samples = dict[tuple[str, ...], float | None]
"""Values by gauge and the values of its labels; None where there is none yet."""


class RunMetrics:
    """The endpoint ``/metrics``."""

    def __init__(self, runs: RunIndex, queue: RunQueue | None) -> None:
        self.runs, self.queue = runs, queue
        self._views: dict[Path, SharedView] = {}
        """Views of the recent runs, so that only what is new of their logs is read."""

    async def respond(self) -> Response:
        """Return the metrics in the text format of Prometheus."""
        states = await asyncio.to_thread(self._list_states)
        samples: Samples = {("runs", state): n for state, n in Counter(states.values()).items()}
        if self.queue:
            samples["disk_used_bytes",] = await asyncio.to_thread(self.queue.disk.measure)
        recent = [run for run in states if time.time() - _get_last_change(run) < RECENT_S]
        self._views = {directory: self.runs.open_view(directory) for directory in recent}
        for view in list(self._views.values()):
            await view.read()
            samples |= await view.query(measure_run)
        return Response(format_samples(samples), media_type=CONTENT_TYPE_LATEST)

    def _list_states(self) -> dict[Path, str]:
        return {directory: get_run_state(directory)[0] for directory in self.runs.list_runs()}


def measure_run(view: RunView) -> Samples:
    """Return the figures of a run; none where its log has no job yet."""
    if (outcome := view.outcome) is None:
        return {}
    last = [trial.results[-1] for trial in outcome.trials if trial.results]
    iterations, state = sum(row.iteration for row in last), get_run_state(view.directory)[0]
    # The outcome of a run whose driver was lost has an end that says so.
    is_lost = state == "silent" or (outcome.end and outcome.end.sentence == view.lost != "")
    gauges = {
        "driver_alive": 1.0 if state == "running" else 0.0 if is_lost else None,
        "best_score": to_finite_float(outcome.best_score),
        "iterations": iterations,
        "env_steps": sum(row.env_steps for row in last),
        "iteration_seconds": sum(row.seconds for row in last) / max(1, iterations),
        "last_event_timestamp_seconds": max(r.time for r in [*last, view.other_rows[-1][1]]),
    }
    # Present from the start where an alert needs a rate, which needs a first value.
    trials = Counter({"running": 0, "waiting": max(0, outcome.job.trials - len(outcome.trials))})
    trials.update(map(_get_state, outcome.trials))
    findings = Counter({("preempted", "note"): 0, ("crashed", "warn"): 0})
    rows = [row for _, row in view.other_rows if isinstance(row, FindingRow) and not row.withdrawn]
    findings.update((row.symptom, row.severity) for row in rows)
    run = view.directory.name
    samples: Samples = {(f"run_{name}", run): value for name, value in gauges.items()}
    samples |= {("run_trials", run, state): n for state, n in trials.items()}
    return samples | {("run_findings", run, *names): n for names, n in findings.items()}


def _get_state(trial: TrialOutcome) -> str:
    waits = bool(trial.decisions) and trial.decisions[-1].waits
    return trial.end_reason or ("waiting" if waits else "running")


def format_samples(samples: Samples) -> bytes:
    """Format values in the text format of Prometheus."""
    # A registry of their own: a run that is no longer recent leaves no series behind.
    registry, names = CollectorRegistry(), {name for name, *_ in samples}
    gauges = {
        name: Gauge(f"rungwise_{name}", about, labels.split(), registry=registry)
        for name, (labels, about) in GAUGES.items()
        if name in names
    }
    for (name, *labels), value in samples.items():
        if value is not None:
            (gauges[name].labels(*labels) if labels else gauges[name]).set(value)
    return generate_latest(registry)


def _get_last_change(directory: Path) -> float:
    try:
        return (directory / "events.jsonl").stat().st_mtime
    except OSError:  # not started, or deleted since it was listed
        return 0.0
