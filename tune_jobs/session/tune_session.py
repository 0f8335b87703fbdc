"""One Ray Tune session of a run: its scheduler, its trials, and the Tuner that runs them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from logging import LogRecord
from pathlib import Path
from typing import Any

from pyarrow.fs import FileSystem
from ray import tune
from ray.tune.execution import tune_controller
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.stopper import Stopper

from algos.settings.training import TrainingSettings
from rungwise.interruption import run_last_words
from rungwise.run_log.events import JobRow, Row, TrialRow
from rungwise.run_log.score_noise import NoiseSource
from tune_jobs.evaluation.checkpoint_keeper import CheckpointKeeper
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.resources import list_bundles
from tune_jobs.jobs.trials import TrialPlan
from tune_jobs.programs.trial_program import end_programs
from tune_jobs.ray_internals import start_trials_quickly
from tune_jobs.ray_session import is_ray_ours
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.brackets import make_brackets
from tune_jobs.schedulers.optuna_sampler import OptunaSampler
from tune_jobs.schedulers.pbt import RecordedPBT
from tune_jobs.schedulers.trial_queue import Repeats, TrialQueue
from tune_jobs.session.program_trial import make_program_trainable
from tune_jobs.session.run_files import share_run_files
from tune_jobs.session.stopper import TrialStopper
from tune_jobs.session.trial import make_trainable
from tune_jobs.session.tune_recorder import Scheduler, TuneRecorder
from tune_jobs.stopping.sweep_health import SweepHealth
from tune_jobs.trackers.tracker import make_trackers

MAX_PENDING_TRIALS = 200
"""Trials that may wait for a process where all settings are known before the start."""

LAST_GRACE_S = 4.0
"""Seconds between two signals to a program where the process that runs Tune must end."""


class TuneStopper(TrialStopper, Stopper):
    """The stopper under the type that Ray Tune asks for."""


class TuneSession:
    """The scheduler, sampler, recorder and stopper of one session of a run.

    Args:
        job: the job, with its metric and mode filled in.
        directory: the run directory.
        earlier: the event rows so far.
        listener: called with every row that is written.
    """

    def __init__(
        self, job: Job, directory: Path, earlier: Sequence[Row], listener: Callable[[Row], None]
    ) -> None:
        self.job, self.directory, self.earlier = job, directory, earlier
        self.scheduler = make_scheduler(job, directory, earlier)
        self.sampler = OptunaSampler(job, directory, earlier) if job.searcher == "optuna" else None
        self.repeats = Repeats(job, directory, earlier)
        self.trackers = make_trackers(directory, earlier)
        self.files: FileSystem | None = None

        def publish(row: Row) -> None:
            listener(row)
            if self.sampler:
                self.sampler.observe_row(row)
            for tracker in self.trackers:
                tracker.observe_row(row)

        sweep = SweepHealth(job, earlier)
        keeps_best = job.keep == "best" and not job.is_program
        keeper = CheckpointKeeper(job, directory, earlier) if keeps_best else None
        self.recorder = TuneRecorder(directory, self.scheduler, sweep, publish, job.trials, keeper)
        self.stopper = TuneStopper(job, directory, sweep, self.recorder)

    @property
    def has_settings_to_propose(self) -> bool:
        """Whether the settings of some trials are not known yet."""
        return bool(self.repeats.num_left or (self.sampler and self.sampler.num_left))

    def run(self, plans: Sequence[TrialPlan]) -> None:
        """Train these trials, and those that are proposed meanwhile, to their ends."""
        if not plans and not (self.sampler and self.sampler.num_left):
            self.repeats.drop_needless()
        if not plans and not self.has_settings_to_propose:
            return
        set_tune_environment(self.job)
        if not self.job.is_program:
            self._fit_anywhere(plans)
            return
        # Tune kills an actor that does not answer within 10 s, as one that waits for a row of its
        # log. What that leaves is ended here, or when there is no time left after SIGTERM.
        with run_last_words(lambda: end_programs(self.directory, LAST_GRACE_S)):
            try:
                self._fit_anywhere(plans)
            finally:
                end_programs(self.directory)

    def _fit_anywhere(self, plans: Sequence[TrialPlan]) -> None:
        """Train on this machine, or on the nodes of a Ray that need not share a disk."""
        if is_ray_ours():
            self._fit(plans)
            return
        with share_run_files(self.directory) as self.files:
            self._fit(plans)

    def _fit(self, plans: Sequence[TrialPlan]) -> None:
        if isinstance(self.scheduler, RecordedASHA):
            queue = TrialQueue(
                plans, self.scheduler, self.sampler, self.repeats, self._record_proposal
            )
            self._make_tuner({}, queue).fit()
        else:
            # A population starts together, and Tune allows no searcher with PBT.
            grid = tune.grid_search([vars(plan) for plan in plans])
            self._make_tuner({"plan": grid}, None).fit()

    def _record_proposal(self, plan: TrialPlan, repeats: str) -> None:
        self.recorder.write(TrialRow(trial=plan.trial, config=plan.config, repeats=repeats))

    def _make_tuner(self, param_space: dict[str, Any], queue: TrialQueue | None) -> tune.Tuner:
        job, folder = self.job, self.directory.absolute() / "trials"
        # One more than the highest: where one was deleted, their count is the name of another.
        names = [path.name.removeprefix("session-") for path in folder.glob("session-*")]
        session = max((int(name) for name in names if name.isdecimal()), default=-1) + 1
        return tune.Tuner(
            tune.with_resources(self._make_trainable(), PlacementGroupFactory(list_bundles(job))),
            param_space=param_space,
            tune_config=tune.TuneConfig(
                search_alg=queue,
                num_samples=1 if queue is None else -1,
                scheduler=self.scheduler,
                # An actor that waits for its next trial would leave its program running.
                reuse_actors=not job.is_program,
                trial_dirname_creator=lambda trial: trial.config["plan"]["trial"],
            ),
            run_config=tune.RunConfig(
                name=f"session-{session}",
                storage_path=str(folder),
                storage_filesystem=self.files,
                stop=self.stopper,
                callbacks=[self.recorder, *self.trackers],
                verbose=0,
                sync_config=tune.SyncConfig(sync_period=1),
                failure_config=tune.FailureConfig(max_failures=job.max_failures),
                checkpoint_config=_make_checkpoint_config(job),
            ),
        )

    def _make_trainable(self) -> type[tune.Trainable]:
        if self.job.is_program:
            return make_program_trainable(self.job, self.directory, self.files)
        job, ids = self.job, (row.id for row in self.earlier if isinstance(row, JobRow))
        if isinstance(job.settings, TrainingSettings):
            # Its id comes first: another run may have the same name.
            name = next(ids, "") or self.directory.absolute().name
            job = replace(job, settings=job.settings.record_below(name))
        return make_trainable(job, self.files)


def _make_checkpoint_config(job: Job) -> tune.CheckpointConfig:
    if job.is_program and not job.program.resume:
        return tune.CheckpointConfig()  # it saves what it likes in its own folder
    return tune.CheckpointConfig(
        checkpoint_frequency=job.checkpoint_interval,
        checkpoint_at_end=True,
        # The newest, from which a trial continues, and one before it in case it is damaged. In a
        # population a trial may continue from a checkpoint that its owner has replaced meanwhile,
        # so more of them are kept. The best one is kept by `CheckpointKeeper`: Tune would choose
        # it by a score that says nothing about a checkpoint's last update.
        num_to_keep=4 if job.scheduler == "pbt" else 2,
    )


def set_tune_environment(job: Job) -> None:
    """Set what Ray Tune reads when a Tuner starts."""
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
    tune_controller.logger.addFilter(_is_not_of_full_disk)
    # Relative paths in settings and environments are relative to where the run was started.
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    start_trials_quickly(inherits=is_ray_ours())
    # A proposal is made when its trial is queued: with one trial in the queue, it knows the most.
    pending = 1 if job.searcher == "optuna" else MAX_PENDING_TRIALS
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(pending)


def _is_not_of_full_disk(record: LogRecord) -> bool:
    """Leave out Tune's tracebacks of a full disk, which our rows and the end of the run name."""
    return "No space left on device" not in str(record.exc_info and record.exc_info[1])


def make_scheduler(job: Job, directory: Path, earlier: Sequence[Row]) -> Scheduler:
    """Return the scheduler of a session, with the decisions of earlier sessions restored."""
    if job.scheduler == "pbt":
        return RecordedPBT(job, directory, earlier)
    # Without rungs the scheduler decides nothing: the same class runs a job without ASHA.
    number = job.brackets if job.rungs else 1
    first = next((row for row in earlier if isinstance(row, JobRow)), None)
    brackets = make_brackets(
        job.name_trials(row.trial for row in earlier if isinstance(row, TrialRow)),
        job.rungs,
        job.mode or "max",
        job.reduction_factor,
        number,
        pauses=job.pauses_trials,
        noise=NoiseSource(job.metric, job.seeds),
        num_rungs_before=len(first.scheduler.get("rungs", ())) if first else 0,
    )
    scheduler = RecordedASHA(brackets, observes=job.observe)
    scheduler.restore_decisions(earlier)
    return scheduler
