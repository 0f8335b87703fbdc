"""Metrics of the runs below a directory for Prometheus, read from their event logs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.responses import Response

from cluster.queue.orders import get_run_state
from cluster.queue.run_queue import RunQueue
from cluster.web.run_index import RunIndex, SharedView
from cluster.web.run_view import RunView
from rungwise.run_log.events import FindingRow
from rungwise.run_log.trial_outcome import TrialOutcome, to_finite_float

RECENT_S = 86400.0
"""Seconds after its last row for which a run has figures of its own: until then they are scraped,
and old logs need not be read."""
GAUGES = {
    "driver_alive": "1 while a process drives the run, 0 if that was lost; none after its end.",
    "best_score": "Score of the best trial.",
    "iterations": "Iterations of all trials. A trial that is preempted repeats some.",
    "env_steps": "Environment steps of all trials.",
    "iteration_seconds": "Mean duration of an iteration of a trial; 0 before the first.",
    "last_event_timestamp_seconds": "When the last row was written, in seconds since 1970.",
}
"""What each gauge of a run measures."""


class RunFigures(NamedTuple):
    """What is exported of one run."""

    gauges: dict[str, float | None]
    """Those of :data:`GAUGES`; None where there is no value yet."""
    trials: Counter[str]
    """Trials by state: ``running``, ``waiting``, or why they ended."""
    findings: Counter[tuple[str, str]]
    """Findings by symptom and severity; losses of a process and preemptions are among them."""


class RunMetrics:
    """The endpoint ``/metrics``."""

    def __init__(self, runs: RunIndex, queue: RunQueue | None) -> None:
        self.runs, self.queue = runs, queue
        self._views: dict[Path, SharedView] = {}
        """Views of the recent runs, so that only what is new of their logs is read."""

    async def respond(self) -> Response:
        """Return the metrics in the text format of Prometheus."""
        states = await asyncio.to_thread(self._list_states)
        recent = [d for d in states if time.time() - _get_last_change(d) < RECENT_S]
        self._views = {d: self.runs.open_view(d) for d in recent}
        figures: dict[str, RunFigures] = {}
        for directory, view in self._views.items():
            await view.read()
            if of_run := await view.query(measure_run):
                figures[directory.name] = of_run
        used = await asyncio.to_thread(self.queue.disk.measure) if self.queue else None
        # Collected anew for each scrape: a run that is no longer recent leaves no series behind.
        families = list(_make_families(states, figures, used))
        return Response(generate_latest(_Collected(families)), media_type=CONTENT_TYPE_LATEST)

    def _list_states(self) -> dict[Path, str]:
        return {directory: get_run_state(directory)[0] for directory in self.runs.list_runs()}


class _Collected:
    """Metrics that have been collected already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


def measure_run(view: RunView) -> RunFigures | None:
    """Return the figures of a run; None where its log has no job yet."""
    if (outcome := view.outcome) is None:
        return None
    last = [trial.results[-1] for trial in outcome.trials if trial.results]
    iterations = sum(row.iteration for row in last)
    state = get_run_state(view.directory)[0]
    # The outcome of a run whose driver was lost has an end that says so.
    is_lost = state == "silent" or (outcome.end and outcome.end.sentence == view.lost != "")
    gauges: dict[str, float | None] = {
        "driver_alive": 1.0 if state == "running" else 0.0 if is_lost else None,
        "best_score": to_finite_float(outcome.best_score),
        "iterations": iterations,
        "env_steps": sum(row.env_steps for row in last),
        "iteration_seconds": sum(row.seconds for row in last) / max(1, iterations),
        "last_event_timestamp_seconds": max(r.time for r in [*last, view.other_rows[-1][1]]),
    }
    # Those that may come to be are there from the start: a rate needs a first value.
    trials = Counter({"running": 0, "waiting": max(0, outcome.job.trials - len(outcome.trials))})
    trials.update(map(_get_state, outcome.trials))
    findings = Counter({("preempted", "note"): 0, ("crashed", "warn"): 0})
    rows = [row for _, row in view.other_rows if isinstance(row, FindingRow) and not row.withdrawn]
    findings.update((row.symptom, row.severity) for row in rows)
    return RunFigures(gauges, trials, findings)


def _get_state(trial: TrialOutcome) -> str:
    waits = bool(trial.decisions) and trial.decisions[-1].waits
    return trial.end_reason or ("waiting" if waits else "running")


def _make_families(
    states: dict[Path, str], figures: dict[str, RunFigures], used: int | None
) -> Generator[Metric]:
    runs = GaugeMetricFamily("rungwise_runs", "Runs by state.", labels=["state"])
    for state, number in Counter(states.values()).items():
        runs.add_metric([state], number)
    yield runs
    if used is not None:
        about = "Disk that the runs of the service take."
        yield GaugeMetricFamily("rungwise_disk_used_bytes", about, value=used)
    for name, about in GAUGES.items():
        family = GaugeMetricFamily(f"rungwise_run_{name}", about, labels=["run"])
        for run, of_run in figures.items():
            if (value := of_run.gauges[name]) is not None:
                family.add_metric([run], value)
        yield family
    about = "Trials by state: running, waiting, or why they ended."
    trials = GaugeMetricFamily("rungwise_run_trials", about, labels=["run", "state"])
    about = "Findings, preemptions and failures that were survived, by symptom."
    labels = ["run", "symptom", "severity"]
    findings = CounterMetricFamily("rungwise_run_findings", about, labels=labels)
    for run, of_run in figures.items():
        for state, number in of_run.trials.items():
            trials.add_metric([run, state], number)
        for names, number in of_run.findings.items():
            findings.add_metric([run, *names], number)
    yield from (trials, findings)


def _get_last_change(directory: Path) -> float:
    try:
        return (directory / "events.jsonl").stat().st_mtime
    except OSError:  # not started, or deleted since it was listed
        return 0.0
