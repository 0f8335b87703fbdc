"""The metrics of every trial as TensorBoard curves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ray.tune.logger import TBXLoggerCallback

from tune_jobs.run_log.events import Row
from tune_jobs.trackers.tracker_metrics import CurvePoints


class TensorBoardCurves(TBXLoggerCallback):
    """Tune's TensorBoard writer for metrics that are reported as a text."""

    def __init__(self, earlier: Iterable[Row] = ()) -> None:
        super().__init__()
        self.points = CurvePoints(earlier)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """Write one point of each curve."""
        # Tune's writer takes a flat result; ours holds its metrics as JSON (`TrialTrainable.step`).
        super().log_trial_result(iteration, trial, self.points(result))
