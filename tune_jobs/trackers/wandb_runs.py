"""The metrics of every trial as runs of Weights & Biases, where the environment asks for it.

``WANDB_PROJECT=name`` does; its other variables hold as everywhere (``WANDB_MODE=offline`` keeps
all in the run's directory, for ``wandb sync`` later). A trial is a run, named after the run's
directory and its number; a job is their group.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ray.air.constants import TRAINING_ITERATION
from ray.tune.logger import LoggerCallback

from envs.validation import InputError
from tune_jobs.formatting import first_sentence
from tune_jobs.run_log.events import Row
from tune_jobs.trackers.tracker_metrics import CurvePoints

PROJECT = "WANDB_PROJECT"
"""Variable that names the project, and asks for this."""


class WandbRuns(LoggerCallback):
    """A run of W&B for each trial, written by the driver."""

    def __init__(self, directory: Path, earlier: Iterable[Row] = ()) -> None:
        self.directory, self.points = directory, CurvePoints(earlier)
        self.runs: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore of its own, which is not used here."""
        return {}

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """One point of each curve; the first one begins the run."""
        name = result["trial"]
        if name not in self.runs:
            self.runs[name] = self._begin_run(name, trial.config["plan"]["config"])
        points = self.points(result)
        self.runs[name].log(points, step=points[TRAINING_ITERATION])

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """The trial's run is over."""
        if run := self.runs.pop(trial.config["plan"]["trial"], None):
            run.finish(exit_code=int(failed))

    def _begin_run(self, trial: str, drawn: dict[str, Any]) -> Any:
        import wandb

        run = self.directory.absolute().name
        # Training waits for it: W&B's own 90 s would be long.
        settings = wandb.Settings(silent=True, console="off", init_timeout=20)
        return wandb.init(
            dir=self.directory,
            group=run,
            name=f"{run}-{trial}",
            id=f"{run}-{trial}",
            resume="allow",
            config=drawn,
            reinit="create_new",
            settings=settings,
        )


def make_wandb_callbacks(directory: Path, earlier: Iterable[Row] = ()) -> list[LoggerCallback]:
    """The callback, if the environment asks for it."""
    return [WandbRuns(directory, earlier)] if os.environ.get(PROJECT) else []


def check_wandb() -> None:
    """Check before a run that it can be reported as asked.

    Raises:
        InputError: W&B is asked for and is not installed, or does not let us in.
    """
    if not os.environ.get(PROJECT):
        return
    if importlib.util.find_spec("wandb") is None:
        raise InputError(
            f"{PROJECT} asks for Weights & Biases, which is not installed: pip install "
            "'rungwise[wandb]', or take the variable away."
        )
    import wandb

    if wandb.setup().settings.mode not in ("online", "shared"):
        return
    try:
        why = "" if wandb.login(prompt=False) else "it has no API key"
    except Exception as error:  # of W&B, its service process or its network
        why = first_sentence(error)
    if why:
        raise InputError(
            f"{PROJECT} asks for Weights & Biases, which cannot be used ({why}): call `wandb "
            "login` or set WANDB_API_KEY, keep the curves here with WANDB_MODE=offline, or take "
            "the variable away."
        )
