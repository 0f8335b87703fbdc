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

from algos.watchdog import hang_reports
from tune_jobs.events import (
    CheckpointRow,
    EndRow,
    EventLog,
    ExploitRow,
    FindingRow,
    ResultRow,
    Row,
    TrialRow,
)
from tune_jobs.gauges import Gauges
from tune_jobs.health import Diagnosis, Finding, History, diagnose
from tune_jobs.health.columns import Columns
from tune_jobs.health.history import as_number
from tune_jobs.health.plateau import at_plateau
from tune_jobs.health.siblings import FEWEST, Sibling, conclusion, split
from tune_jobs.job import Job
from tune_jobs.population import RecordedPBT, told
from tune_jobs.remainder import damaged, faults_of, newest_sound
from tune_jobs.schedulers import RecordedASHA
from tune_jobs.standing import Standing
from tune_jobs.wishes import all_asked_to_stop, asked_to_stop, forget

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
        self.history: dict[str, Columns] = {}
        self.settings: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.found: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self.in_use: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        """By trial the drawn values, and with them all settings of the algorithm."""
        self.standing = Standing()
        self.fresh: dict[str, list[Finding]] = {}
        self.disproved: dict[str, list[FindingRow]] = {}
        self.verdicts: dict[str, tuple[str, str]] = {}
        self.rewarded = False
        """Whether any step of any trial was rewarded with anything."""
        self.sick: Counter[str] = Counter()
        self.concluded: dict[str, tuple[int, str]] = {}
        """By symptom how many trials had it when it was last concluded what that means."""
        self.stopping = False
        self.gauges = Gauges(directory.absolute().name, job.trials)
        for row in earlier:
            if isinstance(row, ResultRow):
                self._remember(row.trial, row.iteration, row.env_steps, row.metrics)
            elif isinstance(row, FindingRow):
                self._take(row)
            elif isinstance(row, TrialRow):
                self.settings[row.trial] = row.config
            elif isinstance(row, ExploitRow):
                self.settings[row.trial] = row.after

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore of its own, which is not used here."""
        return {}

    def write(self, row: Row) -> None:
        """Append a row and show it."""
        self.log.append(row)
        if isinstance(row, TrialRow):  # a searcher's, drawn while the job runs
            self.settings[row.trial] = row.config
        self.listener(row)
        self.gauges.take(row)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial must end now: failed, sick, at its target, or at its budget."""
        if "trial" not in result:
            return False
        trial, iteration, score = result["trial"], result["iteration"], result["score"]
        metrics = json.loads(result["metrics"])
        self._remember(trial, iteration, metrics.get("env_steps", 0), metrics)
        if result["fault"]:
            self.verdicts[trial] = ("error", result["fault"])
            return True
        history = History(
            self.history[trial],
            self.job.iterations,
            self.job.metric,
            self.job.mode or "max",
            settings=self._in_use(trial),
        )
        diagnosis = diagnose(history, self.job.health)  # type: ignore[arg-type]
        self.disproved[trial] = self.standing.withdrawals(trial, history)
        for finding in diagnosis.findings:
            self._found(trial, finding.symptom, finding.severity, iteration)
        findings = self.fresh[trial] = self._with_hopeless(diagnosis)
        if result.get("gpus_idle"):
            findings.append(IDLE_GPU)
        if sick := next((f for f in findings if f.severity == "stop"), None):
            said = self._of_siblings(sick.symptom)
            verdict = f"{sick.symptom}: {sick.evidence}" + (f"; {said}" if said else "")
            self.verdicts[trial] = ("health", verdict)
        elif asked_to_stop(self.directory, trial):
            self.verdicts[trial] = ("stopped", BY_HAND)
        elif self._at_target(score):
            said = f"reached the target {self.job.target:g} with {score:.4g}"
            self.verdicts[trial] = ("target", said)
        elif self.job.patience and self._at_plateau(trial):
            said = f"the score has got no better for {self.job.patience} iterations"
            self.verdicts[trial] = ("plateau", said)
        elif iteration >= self.job.iterations:
            self.verdicts[trial] = ("budget", f"ran all {self.job.iterations} iterations")
        return trial in self.verdicts

    def _found(self, trial: str, symptom: str, severity: str, iteration: int) -> None:
        """Remember when a symptom was first found in a trial; a note may be fine and is none."""
        if severity != "note" and symptom not in self.found[trial]:
            self.found[trial][symptom] = iteration
            self.sick[symptom] += 1

    def _in_use(self, trial: str) -> dict[str, Any]:
        """All settings of a trial; to validate them at every result would take a millisecond."""
        drawn = self.settings[trial]
        if trial not in self.in_use or self.in_use[trial][0] is not drawn:
            self.in_use[trial] = drawn, vars(self.job.trial_settings(drawn)[0])
        return self.in_use[trial][1]

    def _take(self, row: FindingRow) -> None:
        """Remember a finding that is written, or forget one that is withdrawn."""
        self.standing.take(row)
        if not row.withdrawn:
            self._found(row.trial, row.symptom, row.severity, row.iteration)
        elif self.found[row.trial].pop(row.symptom, None) is not None:
            self.sick[row.symptom] -= 1

    def _siblings(self) -> list[Sibling]:
        """The trials that have begun, as far as they have come."""
        return [
            Sibling(
                trial, int(rows.column("iteration")[-1]), self.found[trial], self.settings[trial]
            )
            for trial, rows in sorted(self.history.items())
        ]

    def _of_siblings(self, symptom: str) -> str:
        """What the other trials say about a symptom.

        In a large sweep the answer may lag by a few trials: comparing all of them anew for each
        would take the square of their number.
        """
        sick = self.sick[symptom]
        before, said = self.concluded.get(symptom, (0, ""))
        if sick <= COMPARED or sick > 1.1 * before:
            said = conclusion(symptom, self._siblings())
            self.concluded[symptom] = (sick, said)
        return said

    def _with_hopeless(self, diagnosis: Diagnosis) -> list[Finding]:
        """The findings; one of no reward in any trial becomes a stop at once, before its time."""
        findings = list(diagnosis.findings)
        for place, finding in enumerate(findings):
            if finding.symptom == "zero_reward" and finding.severity == "warn" and self._hopeless():
                findings[place] = dataclasses.replace(finding, severity="stop")
        return findings

    def _hopeless(self) -> bool:
        """Whether no trial of at least three was rewarded once, all having come far enough."""
        if self.rewarded or self.job.health.get("zero_reward", "stop") != "stop":
            return False
        sick, well = split("zero_reward", self._siblings())
        return len(sick) >= FEWEST and not well

    def _at_target(self, score: float | None) -> bool:
        if self.job.target is None or score is None:
            return False
        return score >= self.job.target if self.job.mode == "max" else score <= self.job.target

    def _at_plateau(self, trial: str) -> bool:
        rows, sign = self.history[trial], 1 if self.job.mode == "max" else -1
        scores, iterations = sign * rows.column(self.job.metric), rows.column("iteration")
        return at_plateau(scores, iterations, self.job.patience, self.job.min_delta)

    def stop_all(self) -> bool:
        """Whether somebody wants the whole run to stop; its trials can then be resumed."""
        self.stopping = self.stopping or asked_to_stop(self.directory)
        if self.stopping:
            forget(self.directory)
        return self.stopping

    def _remember(
        self, trial: str, iteration: int, env_steps: int, metrics: dict[str, Any]
    ) -> None:
        """Keep what the rules and the patience look at.

        They judge trends over rows that were measured independently of each other, so they see the
        job's metric as each iteration measured it. Scores share episodes with those before them.
        """
        self.rewarded = self.rewarded or as_number(metrics.get("reward_abs_max")) != 0
        rows = self.history.setdefault(trial, Columns())
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
        if name in self.verdicts:
            reason, sentence = self.verdicts.pop(name)
            forget(self.directory, name)
            self.write(EndRow(trial=name, iteration=at, reason=reason, sentence=sentence))

    def _write_findings(self, name: str, at: int) -> None:
        """Write what was found for the first time, and what the run has disproved."""
        for finding in self.fresh.pop(name, []):
            if not self.standing.holds(name, finding):
                said = self._of_siblings(finding.symptom)
                row = FindingRow(trial=name, iteration=at, siblings=said, **vars(finding))
                self._take(row)
                self.write(row)
        for row in self.disproved.pop(name, []):
            self._take(row)
            self.write(row)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Write what was decided without a result: who goes on from a rung, and who does not."""
        self.write_decisions()
        for name in all_asked_to_stop(self.directory):
            # One that waits at a rung may have no next result.
            if isinstance(self.scheduler, RecordedASHA) and self.scheduler.waits(name):
                self.scheduler.withdraw(name)
                forget(self.directory, name)
                at = int(self.history[name].column("iteration")[-1])
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
        self, exploits: dict[str, ExploitRow], name: str, took: dict[str, Any]
    ) -> None:
        """Write a trial's exploit once its learner has said what it runs with."""
        # The result that led to it was reported before; it is written with the first one after.
        if took and name in exploits:
            row = told(exploits.pop(name), took)
            self.settings[name] = row.after
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
        name, at = self._where(trial)
        symptom, said = self._failure(name, trial)
        self._found(name, symptom, "warn", at)
        self.write(
            FindingRow(
                trial=name,
                iteration=at,
                symptom=symptom,
                severity="warn",
                since=at,
                evidence=said,
                remedy="It goes on from its last checkpoint; if it fails again, look there first.",
                siblings=self._of_siblings(symptom),
            )
        )
        if trial.checkpoint is not None:
            folder = Path(trial.checkpoint.path).parent
            sound, damage = newest_sound(sorted(folder.glob("checkpoint_*")))
            if damage:
                self.write(damaged(name, self.directory.absolute(), damage, sound, at))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note a trial that failed for good, with its own error or the place where it hung."""
        name, at = self._where(trial)
        _, said = self._failure(name, trial)
        self.write(EndRow(trial=name, iteration=at, reason="error", sentence=said))

    def _where(self, trial: Any) -> tuple[str, int]:
        last = trial.last_result or {}
        return trial.config["plan"]["trial"], last.get("iteration", 0)

    def _failure(self, name: str, trial: Any) -> tuple[str, str]:
        """What made a trial's process fail: a symptom and a sentence."""
        if hung := hang_reports(faults_of(self.directory, name), "trial"):
            return "hung", hung[0].removeprefix("trial ")
        return "crashed", _own_words(trial.get_error())


def _own_words(error: Any) -> str:
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
