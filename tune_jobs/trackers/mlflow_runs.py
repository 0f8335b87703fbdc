"""The metrics of every trial as runs of MLflow.

``MLFLOW_EXPERIMENT_NAME=name`` switches it on; ``MLFLOW_TRACKING_URI`` names the store. Each trial
is an MLflow run, named after the run directory and the trial's number; a resume continues it.
"""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.air.constants import TRAINING_ITERATION
from ray.tune.logger import LoggerCallback

from envs.validation import InputError
from tune_jobs.formatting import first_sentence
from tune_jobs.run_log.events import Row
from tune_jobs.trackers.remote_id import get_remote_prefix
from tune_jobs.trackers.tracker_metrics import CurvePoints

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"
"""Environment variable with the experiment's name; unset, MLflow is not used."""
KEY = "rungwise.trial"
"""Tag by which a resume finds the MLflow run of a trial."""


class MlflowRuns(LoggerCallback):
    """One MLflow run for each trial, written by the driver."""

    def __init__(self, directory: Path, earlier: Iterable[Row] = ()) -> None:
        rows = list(earlier)
        self.directory, self.points = directory, CurvePoints(rows)
        self.prefix = get_remote_prefix(directory, rows)
        self.runs: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles callbacks for its own restore, which is not used here."""
        return {}

    @cached_property
    def store(self) -> tuple[MlflowClient, str]:
        """The client and the id of the experiment, opened by the first result."""
        # A property that raises is not cached, so the next result after a failure tries again.
        return open_experiment()

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Write one point of each curve; the first point starts the MLflow run."""
        from mlflow.entities import Metric

        name = result["trial"]
        if name not in self.runs:
            self.runs[name] = self._begin_run(name, trial.config["plan"]["config"])
        # In one request, and without numbers that are not finite: SQL stores refuse them.
        points, now = self.points(result), int(1000 * time.time())
        at = int(points.pop(TRAINING_ITERATION))
        metrics = [Metric(n, float(v), now, at) for n, v in points.items() if math.isfinite(v)]
        self.store[0].log_batch(self.runs[name], metrics)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Finish the MLflow run of a trial."""
        if run := self.runs.pop(trial.config["plan"]["trial"], None):
            self.store[0].set_terminated(run, "FAILED" if failed else "FINISHED")

    def _begin_run(self, trial: str, drawn: dict[str, Any]) -> str:
        from mlflow.entities import Param

        name, key = f"{self.directory.absolute().name}-{trial}", f"{self.prefix}-{trial}"
        # By tag, as MLflow chooses the ids of its runs itself and names are not unique.
        client, experiment = self.store
        for found in client.search_runs([experiment], f"tags.`{KEY}` = '{key}'"):
            client.update_run(found.info.run_id, "RUNNING")
            return found.info.run_id
        run = client.create_run(experiment, run_name=name, tags={KEY: key})
        params = [Param(setting, str(value)) for setting, value in drawn.items()]
        client.log_batch(run.info.run_id, params=params)
        return run.info.run_id


def make_mlflow_callbacks(directory: Path, earlier: Iterable[Row] = ()) -> list[LoggerCallback]:
    """Return the callback, where :data:`EXPERIMENT` is set."""
    return [MlflowRuns(directory, earlier)] if os.environ.get(EXPERIMENT) else []


def open_experiment() -> tuple[MlflowClient, str]:
    """Find or create the experiment; return a client of its store and the experiment's id."""
    # MLflow's default, seven attempts of 120 s each, would block training for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    client, name = MlflowClient(), os.environ[EXPERIMENT]
    known = client.get_experiment_by_name(name)
    return client, known.experiment_id if known else client.create_experiment(name)


def check_mlflow() -> None:
    """Check before a run that MLflow can be used, where :data:`EXPERIMENT` is set.

    Raises:
        InputError: MLflow is not installed, or its store cannot be used.
    """
    if not os.environ.get(EXPERIMENT):
        return
    if importlib.util.find_spec("mlflow") is None:
        raise InputError(
            f"{EXPERIMENT} asks for MLflow, which is not installed: pip install "
            "'rungwise[mlflow]', or take the variable away."
        )
    try:
        open_experiment()
    except Exception as error:  # of MLflow, its database drivers or its network
        from mlflow import get_tracking_uri

        raise InputError(
            f"MLflow cannot be used at {get_tracking_uri()} ({first_sentence(error)}): change "
            f"MLFLOW_TRACKING_URI (sqlite:///mlflow.db is a file), or take {EXPERIMENT} away."
        ) from error
