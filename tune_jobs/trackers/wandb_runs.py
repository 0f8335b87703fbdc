"""The metrics of every trial as runs of Weights & Biases.

``WANDB_PROJECT=name`` switches it on; W&B's other variables work as usual (``WANDB_MODE=offline``
keeps everything in the run directory, for ``wandb sync`` later). Each trial is a W&B run, named
after the run directory and the trial's number; a job is their group.
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
from tune_jobs.trackers.remote_id import get_remote_prefix
from tune_jobs.trackers.tracker_metrics import CurvePoints

PROJECT = "WANDB_PROJECT"
"""Environment variable with the project's name; unset, W&B is not used."""


class WandbRuns(LoggerCallback):
    """One W&B run for each trial, written by the driver."""

    def __init__(self, directory: Path, earlier: Iterable[Row] = ()) -> None:
        rows = list(earlier)
        self.directory, self.points = directory, CurvePoints(rows)
        self.prefix = get_remote_prefix(directory, rows)
        self.runs: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles callbacks for its own restore, which is not used here."""
        return {}

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Write one point of each curve; the first point starts the W&B run."""
        name = result["trial"]
        if name not in self.runs:
            self.runs[name] = self._begin_run(name, trial.config["plan"]["config"])
        points = self.points(result)
        self.runs[name].log(points, step=points[TRAINING_ITERATION])

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """Finish the W&B run of a trial."""
        if run := self.runs.pop(trial.config["plan"]["trial"], None):
            run.finish(exit_code=int(failed))

    def _begin_run(self, trial: str, drawn: dict[str, Any]) -> Any:
        import wandb

        # Imported late: W&B is optional. The id makes a resumed trial continue the same W&B run.
        run = self.directory.absolute().name
        # Training waits for W&B to start; its default timeout is 90 s.
        settings = wandb.Settings(silent=True, console="off", init_timeout=20)
        return wandb.init(
            dir=self.directory,
            group=run,
            name=f"{run}-{trial}",
            id=f"{self.prefix}-{trial}",
            resume="allow",
            config=drawn,
            reinit="create_new",
            settings=settings,
        )


def make_wandb_callbacks(directory: Path, earlier: Iterable[Row] = ()) -> list[LoggerCallback]:
    """Return the callback, where :data:`PROJECT` is set."""
    return [WandbRuns(directory, earlier)] if os.environ.get(PROJECT) else []


def check_wandb() -> None:
    """Check before a run that W&B can be used, where :data:`PROJECT` is set.

    Raises:
        InputError: W&B is not installed, or refuses the login.
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
