"""Watches a sweep: writes the event rows, ends sick trials, and knows why each one ended.

Ray Tune has no reason for a stop. It asks a Stopper first, then the scheduler, then tells its
callbacks; this object is the Stopper and the callback, and asks the scheduler what it decided.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

from ray import tune
from ray.exceptions import RayActorError
from ray.tune.stopper import Stopper

from algos.rollouts.watchdog import take_hang_reports
from tune_jobs.health import Diagnosis, Finding, History, diagnose
from tune_jobs.health.history import as_number
from tune_jobs.health.metric_table import MetricTable
from tune_jobs.health.open_findings import OpenFindings
from tune_jobs.health.plateau import has_reached_plateau
from tune_jobs.jobs.job import Job
from tune_jobs.run_log.cross_trial import (
    FEWEST,
    Sibling,
    compare_trials_on_symptom,
    split_by_symptom,
)
from tune_jobs.run_log.events import (
    CheckpointRow,
    EndRow,
    EventLog,
    ExploitRow,
    FindingRow,
    ResultRow,
    Row,
    TrialRow,
)
from tune_jobs.run_log.resume import find_newest_intact, get_hang_report_dir, make_damage_finding
from tune_jobs.run_log.stop_requests import (
    clear_stop_request,
    is_stop_requested,
    list_stop_requests,
)
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.pbt import RecordedPBT, complete_exploit
from tune_jobs.trackers.prometheus_gauges import RunGauges

Listener = Callable[[Row], None]
COMPARED = 50
"""Up to so many sick trials are compared with all others at every finding."""
BY_HAND = "stopped by hand"
IDLE_GPU = Finding(
    symptom="idle_gpu",
    severity="warn",
    since=1,
    evidence="the trial holds a GPU, and its torch was built without CUDA: it learns on the CPU",
    remedy="Install torch's CUDA build on the machines of the cluster, or set gpus_per_trial: 0.",
)
Scheduler: TypeAlias = RecordedASHA | RecordedPBT


class Recorder(tune.Callback, Stopper):
    """Stopper and callback of one session of a job."""

    def __init__(
        self,
        job: Job,
        directory: Path,
        scheduler: Scheduler,
        listener: Listener,
        earlier: Iterable[Row] = (),
    ) -> None:
        self.job, self.directory, self.scheduler, self.listener = (
            job,
            directory,
            scheduler,
            listener,
        )
        self.log = EventLog(directory / "events.jsonl")
        self.metric_tables: dict[str, MetricTable] = {}
        self.configs: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.symptom_iterations: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.in_use: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        """By trial the drawn values, and with them all settings of the algorithm."""
        self.standing = OpenFindings()
        self.pending_findings: dict[str, list[Finding]] = {}
        self.disproved: dict[str, list[FindingRow]] = {}
        self.pending_ends: dict[str, tuple[str, str]] = {}
        self.any_reward_seen = False
        """Whether any step of any trial was rewarded with anything."""
        self.sick_trial_counts: Counter[str] = Counter()
        self.cached_conclusions: dict[str, tuple[int, str]] = {}
        """By symptom how many trials had it when it was last concluded what that means."""
        self.stopping = False
        self.gauges = RunGauges(directory.absolute().name, job.trials)
        for row in earlier:
            if isinstance(row, ResultRow):
                self._append_result(row.trial, row.iteration, row.env_steps, row.metrics)
            elif isinstance(row, FindingRow):
                self._take(row)
            elif isinstance(row, TrialRow):
                self.configs[row.trial] = row.config
            elif isinstance(row, ExploitRow):
                self.configs[row.trial] = row.after

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore of its own, which is not used here."""
        return {}

    def write(self, row: Row) -> None:
        """Append a row and show it."""
        self.log.append(row)
        if isinstance(row, TrialRow):  # a searcher's, drawn while the job runs
            self.configs[row.trial] = row.config
        self.listener(row)
        self.gauges.show_row(row)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial must end now: failed, sick, at its target, or at its budget."""
        if "trial" not in result:
            return False
        trial, iteration, score = result["trial"], result["iteration"], result["score"]
        metrics = json.loads(result["metrics"])
        self._append_result(trial, iteration, metrics.get("env_steps", 0), metrics)
        if result["fault"]:
            self.pending_ends[trial] = ("error", result["fault"])
            return True
        history = History(
            self.metric_tables[trial],
            self.job.iterations,
            self.job.metric,
            self.job.mode or "max",
            settings=self._in_use(trial),
        )
        diagnosis = diagnose(history, self.job.health)  # type: ignore[arg-type]
        self.disproved[trial] = self.standing.withdrawals(trial, history)
        for finding in diagnosis.findings:
            self._remember_symptom(trial, finding.symptom, finding.severity, iteration)
        findings = self.pending_findings[trial] = self._escalate_zero_reward(diagnosis)
        if result.get("gpus_idle"):
            findings.append(IDLE_GPU)
        if sick := next((f for f in findings if f.severity == "stop"), None):
            said = self._compare_with_siblings(sick.symptom)
            verdict = f"{sick.symptom}: {sick.evidence}" + (f"; {said}" if said else "")
            self.pending_ends[trial] = ("health", verdict)
        elif is_stop_requested(self.directory, trial):
            self.pending_ends[trial] = ("stopped", BY_HAND)
        elif self._has_reached_target(score):
            said = f"reached the target {self.job.target:g} with {score:.4g}"
            self.pending_ends[trial] = ("target", said)
        elif self.job.patience and self._has_reached_plateau(trial):
            said = f"the score has got no better for {self.job.patience} iterations"
            self.pending_ends[trial] = ("plateau", said)
        elif iteration >= self.job.iterations:
            self.pending_ends[trial] = ("budget", f"ran all {self.job.iterations} iterations")
        return trial in self.pending_ends

    def _remember_symptom(self, trial: str, symptom: str, severity: str, iteration: int) -> None:
        """Remember when a symptom was first found in a trial; a note may be fine and is none."""
        if severity != "note" and symptom not in self.symptom_iterations[trial]:
            self.symptom_iterations[trial][symptom] = iteration
            self.sick_trial_counts[symptom] += 1

    def _in_use(self, trial: str) -> dict[str, Any]:
        """All settings of a trial; to validate them at every result would take a millisecond."""
        drawn = self.configs[trial]
        if trial not in self.in_use or self.in_use[trial][0] is not drawn:
            self.in_use[trial] = drawn, vars(self.job.make_trial_settings(drawn)[0])
        return self.in_use[trial][1]

    def _take(self, row: FindingRow) -> None:
        """Remember a finding that is written, or forget one that is withdrawn."""
        self.standing.take(row)
        if not row.withdrawn:
            self._remember_symptom(row.trial, row.symptom, row.severity, row.iteration)
        elif self.symptom_iterations[row.trial].pop(row.symptom, None) is not None:
            self.sick_trial_counts[row.symptom] -= 1

    def _list_siblings(self) -> list[Sibling]:
        """The trials that have begun, as far as they have come."""
        return [
            Sibling(
                trial,
                int(rows.column("iteration")[-1]),
                self.symptom_iterations[trial],
                self.configs[trial],
            )
            for trial, rows in sorted(self.metric_tables.items())
        ]

    def _compare_with_siblings(self, symptom: str) -> str:
        """What the other trials say about a symptom.

        In a large sweep the answer may lag by a few trials: comparing all of them anew for each
        would take the square of their number.
        """
        sick = self.sick_trial_counts[symptom]
        before, said = self.cached_conclusions.get(symptom, (0, ""))
        if sick <= COMPARED or sick > 1.1 * before:
            said = compare_trials_on_symptom(symptom, self._list_siblings())
            self.cached_conclusions[symptom] = (sick, said)
        return said

    def _escalate_zero_reward(self, diagnosis: Diagnosis) -> list[Finding]:
        """The findings; one of no reward in any trial becomes a stop at once, before its time."""
        findings = list(diagnosis.findings)
        for place, finding in enumerate(findings):
            if (
                finding.symptom == "zero_reward"
                and finding.severity == "warn"
                and self._is_sweep_unrewarded()
            ):
                findings[place] = dataclasses.replace(finding, severity="stop")
        return findings

    def _is_sweep_unrewarded(self) -> bool:
        """Whether no trial of at least three was rewarded once, all having come far enough."""
        if self.any_reward_seen or self.job.health.get("zero_reward", "stop") != "stop":
            return False
        sick, well = split_by_symptom("zero_reward", self._list_siblings())
        return len(sick) >= FEWEST and not well

    def _has_reached_target(self, score: float | None) -> bool:
        if self.job.target is None or score is None:
            return False
        return score >= self.job.target if self.job.mode == "max" else score <= self.job.target

    def _has_reached_plateau(self, trial: str) -> bool:
        rows, sign = self.metric_tables[trial], 1 if self.job.mode == "max" else -1
        scores, iterations = sign * rows.column(self.job.metric), rows.column("iteration")
        return has_reached_plateau(scores, iterations, self.job.patience, self.job.min_delta)

    def stop_all(self) -> bool:
        """Whether somebody wants the whole run to stop; its trials can then be resumed."""
        self.stopping = self.stopping or is_stop_requested(self.directory)
        if self.stopping:
            clear_stop_request(self.directory)
        return self.stopping

    def _append_result(
        self, trial: str, iteration: int, env_steps: int, metrics: dict[str, Any]
    ) -> None:
        """Keep what the rules and the patience look at.

        They judge trends over rows that were measured independently of each other, so they see the
        job's metric as each iteration measured it. Scores share episodes with those before them.
        """
        self.any_reward_seen = self.any_reward_seen or as_number(metrics.get("reward_abs_max")) != 0
        rows = self.metric_tables.setdefault(trial, MetricTable())
        # A restored trial runs again what came after its checkpoint.
        while rows and rows.column("iteration")[-1] >= iteration:
            rows.pop()
        rows.append(metrics | {"iteration": iteration, "env_steps": env_steps})

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Write what this result brought."""
        name, at = result["trial"], result["iteration"]
        metrics: dict[str, Any] = {
            n: v for n, v in json.loads(result["metrics"]).items() if v != ""
        }
        self.write(
            ResultRow(
                trial=name,
                iteration=at,
                score=result["score"],
                seconds=result["trained_s"],
                env_steps=metrics.get("env_steps", 0),
                metrics=metrics,
            )
        )
        self._write_findings(name, at)
        if isinstance(self.scheduler, RecordedPBT):
            self._write_exploit(self.scheduler.exploits, name, json.loads(result["took"]))
        self.write_decisions()
        if name in self.pending_ends:
            reason, sentence = self.pending_ends.pop(name)
            clear_stop_request(self.directory, name)
            self.write(EndRow(trial=name, iteration=at, reason=reason, sentence=sentence))

    def _write_findings(self, name: str, at: int) -> None:
        """Write what was found for the first time, and what the run has disproved."""
        for finding in self.pending_findings.pop(name, []):
            if not self.standing.holds(name, finding):
                said = self._compare_with_siblings(finding.symptom)
                row = FindingRow(trial=name, iteration=at, siblings=said, **vars(finding))
                self._take(row)
                self.write(row)
        for row in self.disproved.pop(name, []):
            self._take(row)
            self.write(row)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Write what was decided without a result: who goes on from a rung, and who does not."""
        self.write_decisions()
        for name in list_stop_requests(self.directory):
            # One that waits at a rung may have no next result.
            if isinstance(self.scheduler, RecordedASHA) and self.scheduler.is_waiting(name):
                self.scheduler.withdraw(name)
                clear_stop_request(self.directory, name)
                at = int(self.metric_tables[name].column("iteration")[-1])
                self.write(EndRow(trial=name, iteration=at, reason="stopped", sentence=BY_HAND))

    def write_decisions(self) -> None:
        """Write what the scheduler has decided since the last time, and the ends it means."""
        if isinstance(self.scheduler, RecordedPBT):
            return
        for row in self.scheduler.decisions:
            self.write(row)
            if not row.keep:
                name, at, said = row.trial, row.iteration, row.sentence
                self.write(EndRow(trial=name, iteration=at, reason="asha", sentence=said))
        self.scheduler.decisions.clear()

    def _write_exploit(
        self, exploits: dict[str, ExploitRow], name: str, applied_settings: dict[str, Any]
    ) -> None:
        """Write a trial's exploit once its learner has said what it runs with."""
        # The result that led to it was reported before; it is written with the first one after.
        if applied_settings and name in exploits:
            row = complete_exploit(exploits.pop(name), applied_settings)
            self.configs[name] = row.after
            self.write(row)
            # Until its own next one, the donor's checkpoint is what a resume goes on from.
            self.write(CheckpointRow(trial=name, iteration=row.iteration, path=row.checkpoint))

    def on_checkpoint(
        self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any
    ) -> None:
        """Note a checkpoint that is completely written."""
        path = Path(checkpoint.path).relative_to(self.directory.absolute()).as_posix()
        name, at = trial.config["plan"]["trial"], trial.last_result.get("iteration", 0)
        self.write(CheckpointRow(trial=name, iteration=at, path=path))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note a trial whose process failed and is started again from its last checkpoint."""
        name, at = self._get_trial_and_iteration(trial)
        symptom, said = self._describe_failure(name, trial)
        self._remember_symptom(name, symptom, "warn", at)
        self.write(
            FindingRow(
                trial=name,
                iteration=at,
                symptom=symptom,
                severity="warn",
                since=at,
                evidence=said,
                remedy="It goes on from its last checkpoint; if it fails again, look there first.",
                siblings=self._compare_with_siblings(symptom),
            )
        )
        if trial.checkpoint is not None:
            folder = Path(trial.checkpoint.path).parent
            sound, damage = find_newest_intact(sorted(folder.glob("checkpoint_*")))
            if damage:
                self.write(make_damage_finding(name, self.directory.absolute(), damage, sound, at))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note a trial that failed for good, with its own error or the place where it hung."""
        name, at = self._get_trial_and_iteration(trial)
        _, said = self._describe_failure(name, trial)
        self.write(EndRow(trial=name, iteration=at, reason="error", sentence=said))

    def _get_trial_and_iteration(self, trial: Any) -> tuple[str, int]:
        last = trial.last_result or {}
        return trial.config["plan"]["trial"], last.get("iteration", 0)

    def _describe_failure(self, name: str, trial: Any) -> tuple[str, str]:
        """What made a trial's process fail: a symptom and a sentence."""
        if hung := take_hang_reports(get_hang_report_dir(self.directory, name), "trial"):
            return "hung", hung[0].removeprefix("trial ")
        return "crashed", _extract_error_message(trial.get_error())


def _extract_error_message(error: Any) -> str:
    """The message of an error raised in a worker, without the framework's frames."""
    if error is None:
        return "its process failed; the trial's error.txt may say why"
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, RayActorError) or "worker process has died" in str(cause):
        return (
            "its process died: it was killed, ran out of memory, or the environment or a library "
            "ended it"
        )
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if any("No space left on device" in line for line in lines):
        return "the disk is full: free some space, then resume the run"
    return lines[-1] if lines else type(cause).__name__
