"""The recorder of a session under Ray Tune: write an event row for everything that it reports."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from ray import tune
from ray.exceptions import RayActorError
from ray.tune import Checkpoint
from ray.tune.experiment import Trial
from ray.tune.result import NODE_IP

from algos.checkpoint import find_newest_intact
from algos.rollouts.environment_fault import EnvironmentFault
from algos.rollouts.watchdog import take_hang_reports
from rungwise.health.finding import Finding
from rungwise.run_log.events import CheckpointRow, FindingRow, Row
from rungwise.run_log.stop_requests import list_stop_requests
from tune_jobs.evaluation.checkpoint_keeper import CheckpointKeeper
from tune_jobs.jobs.trials import get_hang_report_dir
from tune_jobs.joined_nodes import find_lost_node, take_reports_of_node
from tune_jobs.ray_internals import set_failures
from tune_jobs.ray_session import is_ray_ours
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.pbt import RecordedPBT
from tune_jobs.session.driver_load import DriverLoad
from tune_jobs.session.recorder import EventRecorder
from tune_jobs.session.remaining_work import make_damage_finding
from tune_jobs.stopping.stop_rules import (
    ENVIRONMENT_FAILED,
    STOPPED_BY_HAND,
    StopVerdict,
    describe_last_failure,
    suggest_resume,
)
from tune_jobs.stopping.sweep_health import SweepHealth
from tune_jobs.trackers.prometheus_gauges import RunGauges, name_run

Scheduler: TypeAlias = RecordedASHA | RecordedPBT
PREEMPTED = "preempted"
CONTINUES = "Nothing is wrong with the trial: it continues from its last checkpoint."
FORGIVEN_AFTER = 10
"""Iterations after a failure with which a trial has all its attempts again: one that fails more
often than in a tenth of them ends."""


class TuneRecorder(EventRecorder, tune.Callback):
    """The recorder as a callback of Ray Tune.

    Args:
        directory: the run directory.
        scheduler: its decisions are written as they fall.
        sweep: compares a failed trial with the others.
        listener: called with every row.
        num_trials: trials of the job.
        keeper: keeps the best checkpoint of each trial; None where the last one is the result.
    """

    def __init__(
        self,
        directory: Path,
        scheduler: Scheduler,
        sweep: SweepHealth,
        listener: Callable[[Row], None],
        num_trials: int,
        keeper: CheckpointKeeper | None = None,
    ) -> None:
        gauges = None if is_ray_ours() else RunGauges(name_run(directory), num_trials)
        super().__init__(directory, sweep, listener, gauges)
        self.scheduler, self._keeper = scheduler, keeper
        self._load = DriverLoad()
        self._forgiven_at: dict[str, int] = {}
        """The iteration at which a trial that failed has all its attempts again."""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles callbacks for its own restore, which is not used here."""
        return {}

    def write(self, row: Row) -> None:
        """Append a row to the log and show it."""
        super().write(row)
        if self._keeper:
            self._keeper.observe(row)

    def write_scheduling(self, result: Mapping[str, Any] | None = None) -> None:
        """Write what the scheduler has decided since the last call, and what a result confirms."""
        for row in self.scheduler.take_rows(result):
            self.write(row)

    def on_trial_result(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        result: dict[str, Any],
        **info: object,
    ) -> None:
        """Write what the scheduler decided on a result, which the stopper has written before."""
        self.write_scheduling(result)
        self._load.count_result()
        if result.get("iteration", 0) >= self._forgiven_at.get(trial.trial_id, math.inf):
            del self._forgiven_at[trial.trial_id]
            set_failures(trial, 0)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: object) -> None:
        """Write decisions that follow from no result: promotions, and ends of waiting trials."""
        self.write_scheduling()
        self._load.look()
        # The stop rules see a trial only when it reports, and one that waits at a rung may never
        # report again.
        for name in list_stop_requests(self.directory):
            if self.scheduler.is_waiting(name):
                self.scheduler.withdraw(name)
                self.write_end(name, self.sweep.get_last_iteration(name), STOPPED_BY_HAND)

    def on_checkpoint(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        checkpoint: Checkpoint,
        **info: object,
    ) -> None:
        """Write a checkpoint once it is complete."""
        path = Path(checkpoint.path).relative_to(self.directory.absolute()).as_posix()
        name, reached = _get_trial_and_iteration(trial)
        if self._keeper is None:
            self.write(CheckpointRow(trial=name, iteration=reached, path=path))
            return
        self.write(row := self._keeper.make_row(name, reached, path))
        # Only now: until then the log named a copy that may be among them.
        self._keeper.delete_old_copies(row)

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Write the failure of a trial that Tune starts again from its last checkpoint."""
        name, reached = _get_trial_and_iteration(trial)
        symptom, evidence = self._describe_failure(name, trial)
        if symptom == PREEMPTED:
            set_failures(trial, max(0, trial.num_failures - 1))
            note = Finding(symptom, "note", reached, evidence, CONTINUES)
            self.write(FindingRow(trial=name, iteration=reached, **vars(note)))
        else:
            self._forgiven_at[trial.trial_id] = reached + FORGIVEN_AFTER
            self.write_failure(name, reached, symptom, evidence, "from its last checkpoint")
        if trial.checkpoint is not None:
            folder = Path(trial.checkpoint.path).parent
            intact, damage = find_newest_intact(sorted(folder.glob("checkpoint_*")))
            if damage:
                root = self.directory.absolute()
                self.write(make_damage_finding(name, root, damage, intact, reached))

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: object
    ) -> None:
        """Write the end of a trial that failed for good."""
        name, reached = _get_trial_and_iteration(trial)
        symptom, sentence = self._describe_failure(name, trial)
        if symptom == ENVIRONMENT_FAILED:
            sentence = describe_last_failure(sentence, trial.run_metadata.num_failures)
            sentence = f"{sentence}; {suggest_resume(self.directory, reached)}"
        self.write_end(name, reached, StopVerdict("error", sentence))

    def _describe_failure(self, name: str, trial: Trial) -> tuple[str, str]:
        """Return the symptom and the evidence of a failed process of a trial."""
        error = _read_error(trial)
        address = (trial.last_result or {}).get(NODE_IP, "")
        if node := find_lost_node(error, address):
            return PREEMPTED, f"its node {node} left the cluster, was paused, or was cut off"
        folder = get_hang_report_dir(self.directory, name)
        reports = take_hang_reports(folder, "trial")
        if address and not (reports or is_ray_ours()):
            reports = take_reports_of_node(address, folder)
        if reports:
            return "hung", reports[0].removeprefix("trial ")
        is_environment = isinstance(getattr(error, "cause", error), EnvironmentFault)
        symptom = ENVIRONMENT_FAILED if is_environment else "crashed"
        return symptom, _extract_error_message(error)


def _get_trial_and_iteration(trial: Trial) -> tuple[str, int]:
    last = trial.last_result or {}
    return trial.config["plan"]["trial"], last.get("iteration", 0)


def _read_error(trial: Trial) -> object:
    """Return the last error of a trial, or its text where that cannot be read; empty for none.

    Tune has written both a moment ago. Its ``get_error`` reads copies, which are made every ten
    seconds.
    """
    with suppress(OSError):  # where the disk was too full to write it
        text = Path(trial.error_file or "").read_text().rstrip()
        with suppress(Exception):  # it may be of a module that only the trial's process can import
            error = pickle.loads(Path(trial.pickled_error_file or "").read_bytes())
            if text.endswith(str(error).rstrip()):  # and not that of an earlier failure
                return error
        return text
    return ""


def _extract_error_message(error: object) -> str:
    """Return the message of an error raised in a worker, without the framework's frames."""
    if error == "":
        return "its process failed; the trial's error.txt may say why"
    cause = getattr(error, "cause", None) or error
    # An error at its start, such as that of a missing module, ends its process too, but is known.
    died = isinstance(cause, RayActorError) and "creation task" not in str(cause)
    if died or "worker process has died" in str(cause):
        return (
            "its process died: it was killed, ran out of memory, or the environment or a library "
            "ended it"
        )
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if any("No space left on device" in line for line in lines):
        return "the disk is full: free some space, then resume the run"
    return lines[-1] if lines else type(cause).__name__
