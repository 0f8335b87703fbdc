"""The metrics of every trial as runs of Weights & Biases and of MLflow.

``WANDB_PROJECT=name`` switches W&B on; its other variables work as usual (``WANDB_MODE=offline``
keeps everything in the run directory, for ``wandb sync`` later). ``MLFLOW_EXPERIMENT_NAME=name``
switches MLflow on; ``MLFLOW_TRACKING_URI`` names the store. Each trial is a run there, named after
the run directory and the trial's number; a resume continues it. At its end it gets the trial's best
checkpoint as an artifact.
"""

from __future__ import annotations

import importlib.util
import math
import os
import posixpath
import re
import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback

from rungwise.formatting import first_sentence
from rungwise.run_log.events import CheckpointRow, JobRow, Row
from rungwise.validation import InputError
from tune_jobs.trackers.tracker_metrics import CurvePoints

if TYPE_CHECKING:
    import wandb
    from mlflow import MlflowClient

KEY = "rungwise.trial"
"""Tag by which a resume finds the MLflow run of a trial."""
LONGEST_NAME = 250
"""Characters of a name that MLflow takes."""


class RemoteRuns(LoggerCallback):
    """One run of a tracker for each trial, written by the driver; a resume continues it.

    Args:
        directory: the run directory.
        earlier: the event rows of earlier sessions.
    """

    NAME: ClassVar[str]
    """The tracker, as messages call it."""
    PACKAGE: ClassVar[str]
    """Its package, and the extra that installs it."""
    VARIABLE: ClassVar[str]
    """Environment variable with the name of its project; unset, the tracker is not used."""

    def __init__(self, directory: Path, earlier: Iterable[Row] = ()) -> None:
        rows = list(earlier)
        self.directory, self.points = directory, CurvePoints(rows)
        self.group = directory.absolute().name
        first = next((row for row in rows if isinstance(row, JobRow)), None)
        # Names of run directories repeat, on another machine or after one was deleted; only the
        # random id in the log keeps two runs apart. The logs of earlier versions have none.
        self.prefix = first.id if first and first.id else self.group
        self.runs: dict[str, Any] = {}
        self.checkpoints: dict[str, str] = {}
        for row in rows:
            self.observe_row(row)

    def observe_row(self, row: Row) -> None:
        """Note the checkpoint that is a trial's result by now."""
        if isinstance(row, CheckpointRow):
            self.checkpoints[row.trial] = row.best or row.path

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Write one point of each curve; the first point starts the tracker's run."""
        number = result["trial"]
        if number not in self.runs:
            name, key = f"{self.group}-{number}", f"{self.prefix}-{number}"
            self.runs[number] = self.begin_run(name, key, trial.config["plan"]["config"])
        self.log_points(self.runs[number], self.points(result), result["iteration"])

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Store the trial's best checkpoint, and finish the tracker's run."""
        number = trial.config["plan"]["trial"]
        if run := self.runs.pop(number, None):
            checkpoint = self.directory / self.checkpoints.get(number, "")
            try:
                if number in self.checkpoints and checkpoint.is_dir():
                    self.log_checkpoint(run, f"{self.prefix}-{number}", checkpoint)
            finally:
                self.finish_run(run, failed)

    @classmethod
    def is_wanted(cls) -> bool:
        """Return whether the environment asks for this tracker."""
        return bool(os.environ.get(cls.VARIABLE))

    @classmethod
    def check(cls) -> None:
        """Check before a run that the tracker can be used, where it is asked for.

        Raises:
            InputError: its package is not installed, or its store or login cannot be used.
        """
        if not cls.is_wanted():
            return
        if importlib.util.find_spec(cls.PACKAGE) is None:
            raise InputError(
                f"{cls.VARIABLE} asks for {cls.NAME}, which is not installed: pip install "
                f"'rungwise[{cls.PACKAGE}]', or take the variable away."
            )
        cls.check_access()

    @abstractmethod
    def begin_run(self, name: str, key: str, settings: Mapping[str, Any]) -> Any:
        """Return a new run of the tracker, or the one that has this key already.

        Args:
            name: of the run directory and the trial, for people.
            key: unique among all runs of all machines.
            settings: the trial's searched values.
        """

    @abstractmethod
    def log_points(self, run: Any, points: dict[str, float], iteration: int) -> None:
        """Write one point of each curve."""

    @abstractmethod
    def log_checkpoint(self, run: Any, key: str, checkpoint: Path) -> None:
        """Store a folder as an artifact of a run."""

    @abstractmethod
    def finish_run(self, run: Any, failed: bool) -> None:
        """Finish a run."""

    @classmethod
    @abstractmethod
    def check_access(cls) -> None:
        """Check the login or the store.

        Raises:
            InputError: it cannot be used.
        """


class WandbRuns(RemoteRuns):
    """One W&B run for each trial."""

    NAME, PACKAGE, VARIABLE = "Weights & Biases", "wandb", "WANDB_PROJECT"

    def begin_run(self, name: str, key: str, settings: Mapping[str, Any]) -> Any:
        """Start W&B's run, or continue the one with this id."""
        import wandb  # late: W&B is optional

        return wandb.init(
            dir=os.environ.get("WANDB_DIR") or self.directory,
            group=self.group,
            name=name,
            id=key,
            resume="allow",
            config=dict(settings),
            reinit="create_new",
            # Training waits for W&B to start; its default timeout is 90 s.
            settings=wandb.Settings(silent=True, console="off", init_timeout=20),
        )

    def log_points(self, run: wandb.Run, points: dict[str, float], iteration: int) -> None:
        """Write one point of each curve."""
        run.log(points, step=iteration)

    def log_checkpoint(self, run: wandb.Run, key: str, checkpoint: Path) -> None:
        """Store a folder as an artifact of type ``model``."""
        import wandb

        artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", f"checkpoint-{key}"), type="model")
        # One by one: `add_dir` prints to the terminal. Immutable: a file is uploaded from where it
        # lies, and not copied into W&B's cache before.
        for file in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
            name = file.relative_to(checkpoint).as_posix()
            artifact.add_file(str(file), name=name, policy="immutable")
        run.log_artifact(artifact)

    def finish_run(self, run: wandb.Run, failed: bool) -> None:
        """Finish a run with its exit code."""
        run.finish(exit_code=int(failed))

    @classmethod
    def check_access(cls) -> None:
        """Refuse to start without a login, unless W&B works offline.

        Raises:
            InputError: W&B refuses the login.
        """
        import wandb

        if wandb.setup().settings.mode not in ("online", "shared"):
            return
        try:
            why = "" if wandb.login(prompt=False) else "it has no API key"
        except Exception as error:  # of W&B, its service process or its network
            why = first_sentence(error)
        if why:
            raise InputError(
                f"{cls.VARIABLE} asks for {cls.NAME}, which cannot be used ({why}): call `wandb "
                "login` or set WANDB_API_KEY, keep the curves here with WANDB_MODE=offline, or "
                "take the variable away."
            )


class MlflowRuns(RemoteRuns):
    """One MLflow run for each trial."""

    NAME, PACKAGE, VARIABLE = "MLflow", "mlflow", "MLFLOW_EXPERIMENT_NAME"

    @cached_property
    def store(self) -> tuple[MlflowClient, str]:
        """The client and the id of the experiment, opened by the first result."""
        # A property that raises is not cached, so the next result after a failure tries again.
        return _open_experiment()

    def begin_run(self, name: str, key: str, settings: Mapping[str, Any]) -> str:
        """Return the id of the MLflow run with this tag, or of a new one."""
        from mlflow.entities import Param

        # The tag finds it, as MLflow chooses the ids of its runs itself and names are not unique.
        client, experiment = self.store
        for run in client.search_runs([experiment], f"tags.`{KEY}` = '{key}'"):
            client.update_run(run.info.run_id, "RUNNING")
            return run.info.run_id
        run = client.create_run(experiment, run_name=name, tags={KEY: key})
        named = {to_mlflow_name(setting): str(value) for setting, value in settings.items()}
        params = [Param(setting, value) for setting, value in named.items()]
        client.log_batch(run.info.run_id, params=params)
        return run.info.run_id

    def log_points(self, run: str, points: dict[str, float], iteration: int) -> None:
        """Write one point of each curve in one request."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        # Without numbers that are not finite: SQL stores refuse them.
        finite = {
            to_mlflow_name(name): float(value)
            for name, value in points.items()
            if math.isfinite(value)
        }
        metrics = [Metric(name, value, now, iteration) for name, value in finite.items()]
        self.store[0].log_batch(run, metrics)

    def log_checkpoint(self, run: str, key: str, checkpoint: Path) -> None:
        """Store a folder among the artifacts of a run."""
        self.store[0].log_artifacts(run, str(checkpoint), "checkpoint")

    def finish_run(self, run: str, failed: bool) -> None:
        """Finish a run with its status."""
        self.store[0].set_terminated(run, "FAILED" if failed else "FINISHED")

    @classmethod
    def check_access(cls) -> None:
        """Open the store.

        Raises:
            InputError: it cannot be used.
        """
        try:
            _open_experiment()
        except Exception as error:  # of MLflow, its database drivers or its network
            from mlflow import get_tracking_uri

            raise InputError(
                f"MLflow cannot be used at {get_tracking_uri()} ({first_sentence(error)}): change "
                f"MLFLOW_TRACKING_URI (sqlite:///mlflow.db is a file), or take {cls.VARIABLE} "
                "away."
            ) from error


def to_mlflow_name(name: str) -> str:
    """Return the name of a metric or a setting with ``_`` for what MLflow refuses the batch for.

    >>> to_mlflow_name("rollout/success (%)")
    'rollout/success ___'
    """
    # It must be a path in its shortest form, too, and below the folder of the run.
    path = posixpath.normpath(re.sub(r"[^/\w.\- :]", "_", name)[:LONGEST_NAME])
    return re.sub(r"^(/|\.\.|\.$)+", "_", path)


def _open_experiment() -> tuple[MlflowClient, str]:
    """Find or create the experiment; return a client of its store and the experiment's id."""
    # MLflow's default, seven attempts of 120 s each, would block training for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    client, name = MlflowClient(), os.environ[MlflowRuns.VARIABLE]
    experiment = client.get_experiment_by_name(name)
    return client, experiment.experiment_id if experiment else client.create_experiment(name)
