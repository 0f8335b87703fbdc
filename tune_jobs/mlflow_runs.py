"""The metrics of every trial as runs of MLflow, where the environment asks for it.

``MLFLOW_EXPERIMENT_NAME=name`` does; ``MLFLOW_TRACKING_URI`` says where they are kept. A trial is a
run, named after the run's directory and its number; a resume goes on with it.
"""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ray.air.constants import TRAINING_ITERATION
from ray.tune.logger import LoggerCallback

from envs.validation import InputError
from tune_jobs.curves import Points
from tune_jobs.events import Row

EXPERIMENT = "MLFLOW_EXPERIMENT_NAME"
"""Variable that names the experiment, and asks for this."""
KEY = "rungwise.trial"
"""Tag by which a trial's run is found again."""


class MlflowRuns(LoggerCallback):
    """A run of MLflow for each trial, written by the driver."""

    def __init__(self, directory: Path, earlier: Iterable[Row] = ()) -> None:
        self.directory, self.points = directory, Points(earlier)
        self.runs: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore of its own, which is not used here."""
        return {}

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Find or make the experiment, before the first trial begins."""
        from mlflow import MlflowClient

        self.client = MlflowClient()
        name = os.environ[EXPERIMENT]
        known = self.client.get_experiment_by_name(name)
        self.experiment = known.experiment_id if known else self.client.create_experiment(name)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """One point of each curve; the first one begins the run."""
        from mlflow.entities import Metric

        name = result["trial"]
        if name not in self.runs:
            self.runs[name] = self._begun(name, trial.config["plan"]["drawn"])
        points, now = self.points(result), int(1000 * time.time())
        at = int(points.pop(TRAINING_ITERATION))
        metrics = [Metric(n, float(v), now, at) for n, v in points.items() if math.isfinite(v)]
        self.client.log_batch(self.runs[name], metrics)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """The trial's run is over."""
        if run := self.runs.pop(trial.config["plan"]["trial"], None):
            self.client.set_terminated(run, "FAILED" if failed else "FINISHED")

    def _begun(self, trial: str, drawn: dict[str, Any]) -> str:
        from mlflow.entities import Param

        name = f"{self.directory.absolute().name}-{trial}"
        for found in self.client.search_runs([self.experiment], f"tags.`{KEY}` = '{name}'"):
            self.client.update_run(found.info.run_id, "RUNNING")
            return found.info.run_id
        run = self.client.create_run(self.experiment, run_name=name, tags={KEY: name})
        params = [Param(setting, str(value)) for setting, value in drawn.items()]
        self.client.log_batch(run.info.run_id, params=params)
        return run.info.run_id


def mlflow_runs(directory: Path, earlier: Iterable[Row] = ()) -> list[LoggerCallback]:
    """The callback, if the environment asks for it."""
    return [MlflowRuns(directory, earlier)] if os.environ.get(EXPERIMENT) else []


def check_mlflow() -> None:
    """Say before a run that it cannot be reported as asked.

    Raises:
        InputError: MLflow is asked for and not installed.
    """
    if os.environ.get(EXPERIMENT) and importlib.util.find_spec("mlflow") is None:
        raise InputError(
            f"{EXPERIMENT} asks for MLflow, which is not installed: pip install "
            "'rungwise[mlflow]', or take the variable away."
        )
