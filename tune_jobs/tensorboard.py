"""The metrics of every trial as TensorBoard curves."""

from __future__ import annotations

import json
from typing import Any

from ray.air.constants import TRAINING_ITERATION
from ray.tune.logger import TBXLoggerCallback


class Curves(TBXLoggerCallback):
    """Tune's own writer, for metrics that travel as a text (see ``Trial.step``)."""

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """One point of each curve."""
        found: dict[str, Any] = json.loads(result["metrics"])
        numbers = {name: value for name, value in found.items() if isinstance(value, int | float)}
        numbers |= {"score": result["score"], TRAINING_ITERATION: result["iteration"]}
        super().log_trial_result(iteration, trial, numbers)
