"""Where the curves of a run go besides its own log: TensorBoard, W&B, MLflow.

A tracker never ends training. It is checked before Ray starts; what it fails with later is one
warning, and it is tried again with the results of a later time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ray.tune.logger import LoggerCallback, TBXLoggerCallback

from tune_jobs.formatting import first_sentence
from tune_jobs.run_log.events import Row
from tune_jobs.trackers.mlflow_runs import check_mlflow, make_mlflow_callbacks
from tune_jobs.trackers.tensorboard import TensorBoardCurves
from tune_jobs.trackers.wandb_runs import check_wandb, make_wandb_callbacks

PAUSE_S, PAUSE_RATIO = 60.0, 10.0
"""After a call that failed none is made for this many seconds, and for this many times as long as
it took: training waits for a server that is away, and so loses at most a tenth of its time."""


class Tracker(TBXLoggerCallback):
    """A tracker that may fail: the callback of Tune around that of one of them.

    Tune adds a TensorBoard writer of its own where it sees none, hence the base class.

    Args:
        name: as the user knows it.
        callback: the tracker itself.
        clock: seconds.
    """

    def __init__(
        self, name: str, callback: LoggerCallback, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.name, self.callback, self._clock = name, callback, clock
        self._resumes = clock()
        self._warned = False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks for a restore of its own, which is not used here."""
        return {}

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Begin the session."""
        self._try(self.callback.setup, *args, **kwargs)

    def log_trial_start(self, trial: Any) -> None:
        """Begin a trial."""
        self._try(self.callback.log_trial_start, trial)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Report a result."""
        self._try(self.callback.log_trial_result, iteration, trial, result)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """End a trial."""
        self._try(self.callback.log_trial_end, trial, failed)

    def _try(self, call: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        if (begun := self._clock()) < self._resumes:
            return
        try:
            call(*args, **kwargs)
        except Exception as error:  # whatever a library and its network fail with
            now = self._clock()
            self._resumes = now + max(PAUSE_S, PAUSE_RATIO * (now - begun))
            if not self._warned:
                self._warned = True
                sys.stderr.write(
                    f"rungwise: {self.name} failed ({first_sentence(error)}): the run continues, "
                    "and some of its curves will be missing there.\n"
                )


def make_trackers(directory: Path, earlier: Iterable[Row] = ()) -> list[Tracker]:
    """Return the trackers that a run reports to.

    Args:
        directory: of the run.
        earlier: the event rows of earlier sessions.
    """
    rows = list(earlier)
    found = [("TensorBoard", TensorBoardCurves(rows))]
    found += [("W&B", runs) for runs in make_wandb_callbacks(directory, rows)]
    found += [("MLflow", runs) for runs in make_mlflow_callbacks(directory, rows)]
    return [Tracker(name, callback) for name, callback in found]


def check_trackers() -> None:
    """Check that the trackers asked for can be used, before anything starts.

    Raises:
        InputError: naming the one that cannot.
    """
    check_wandb()
    check_mlflow()
