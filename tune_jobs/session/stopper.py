"""The stopper of a session: judge every result of a trial and end the trial where a rule says so.

Ray Tune knows no reason for a stop, only whether there is one. It calls, for every result and in
this order, the stopper, the scheduler (unless the stopper ends the trial) and the callbacks. So the
stopper writes what the result shows (the result, findings, the end), and the recorder's callback
writes what the scheduler decided after it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rungwise.health import Finding
from rungwise.run_log.events import FindingRow, ObservedEndRow, ResultRow
from rungwise.run_log.json_types import parse_metrics
from rungwise.run_log.stop_requests import clear_stop_request, is_stop_requested
from tune_jobs.jobs.job import Job
from tune_jobs.ray_session import is_ray_ours
from tune_jobs.session.recorder import EventRecorder
from tune_jobs.stopping.stop_rules import (
    ENVIRONMENT_FAILED,
    StopVerdict,
    TrialObservation,
    count_stagnant_iterations,
    find_observed_stop,
    find_stage_start,
    find_stop,
)
from tune_jobs.stopping.sweep_health import SweepHealth


class TrialStopper:
    """Asks the stop rules about every result, and the run directory whether the run shall stop."""

    def __init__(
        self, job: Job, directory: Path, sweep: SweepHealth, recorder: EventRecorder
    ) -> None:
        self.job, self.directory, self.sweep, self.recorder = job, directory, sweep, recorder
        self.run_stop_requested = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether the trial ends with this result, and write what the result shows."""
        if "trial" not in result:
            return False
        trial, iteration = result["trial"], result["iteration"]
        metrics = parse_metrics(result["metrics"])
        env_steps = metrics.get("env_steps", 0)
        # An iteration that failed for good measured nothing: the row of the one before it stands.
        has_row = not result["fault"] or not self.sweep.has_results(trial)
        if has_row:
            self.sweep.add_result(trial, iteration, env_steps, metrics)
        self.sweep.set_library(trial, json.loads(result.get("library", "{}")))
        findings, withdrawals = self._judge_health(result)
        observation = self._observe(result, findings)
        verdict = find_stop(observation)
        if verdict is None and result.get("ended"):
            verdict = StopVerdict(*result["ended"])
        if has_row:
            self.recorder.write(
                ResultRow(
                    trial=trial,
                    iteration=iteration,
                    score=result["score"],
                    seconds=result["trained_s"],
                    env_steps=env_steps,
                    metrics={name: value for name, value in metrics.items() if value != ""},
                    stagnant=count_stagnant_iterations(self.job, self.sweep.get_history(trial)),
                    stage_since=find_stage_start(self.job, self.sweep.get_history(trial)),
                    node="" if is_ray_ours() else result.get("node_ip", ""),
                )
            )
        for failure in result.get("failures", ()):
            self.recorder.write_failure(
                trial, iteration, ENVIRONMENT_FAILED, failure, "with new environments"
            )
        for row in self.sweep.register_new_findings(trial, iteration, findings):
            self.recorder.write(row)
        self.sweep.register_withdrawals(withdrawals)
        for row in withdrawals:
            self.recorder.write(row)
        # Once: the comparison with other trials costs too much for every later iteration.
        is_new = trial not in self.recorder.observed
        if is_new and (observed := find_observed_stop(observation)) is not None:
            self.recorder.write(ObservedEndRow(trial=trial, iteration=iteration, **vars(observed)))
        if verdict is not None:
            # The scheduler is not asked about this result: nothing else can follow it in the log.
            self.recorder.write_scheduling(result)
            self.recorder.write_end(trial, iteration, verdict)
        return verdict is not None

    def stop_all(self) -> bool:
        """Return whether the run shall stop; its trials can then be resumed."""
        self.run_stop_requested = self.run_stop_requested or is_stop_requested(self.directory)
        if self.run_stop_requested:
            clear_stop_request(self.directory)
        return self.run_stop_requested

    def _judge_health(self, result: dict[str, Any]) -> tuple[list[Finding], list[FindingRow]]:
        # A failed iteration has no metrics to judge; one that a program logged long ago is judged
        # with those after it.
        if result["fault"] or not result.get("is_judged", True):
            return [], []
        findings, withdrawals = self.sweep.judge(result["trial"])
        if reason := result.get("idle_gpu"):
            findings = [*findings, make_idle_gpu_finding(reason)]
        if lines := result.get("left_out"):
            why = "A program that is killed leaves half a line; the other lines are judged."
            findings = [*findings, Finding("lines_left_out", "note", 1, lines, why)]
        return findings, withdrawals

    def _observe(self, result: dict[str, Any], findings: list[Finding]) -> TrialObservation:
        trial = result["trial"]
        used = not self.job.is_program and result["iteration"] >= self.job.iterations
        return TrialObservation(
            job=self.job,
            directory=self.directory,
            trial=trial,
            iteration=result["iteration"],
            score=result["score"],
            is_last=used or "ended" in result,
            fault=result["fault"],
            history=self.sweep.get_history(trial),
            findings=findings,
            compare_with_siblings=self.sweep.compare_with_siblings,
        )


def make_idle_gpu_finding(reason: str) -> Finding:
    """Return the finding of a trial that holds a GPU that its torch cannot use."""
    return Finding(
        symptom="idle_gpu",
        severity="warn",
        since=1,
        evidence=f"the trial holds a GPU but works on the CPU: {reason}",
        remedy=(
            "Install torch's CUDA build and a driver for it on the machines of the cluster, or set "
            "gpus_per_trial: 0."
        ),
    )
