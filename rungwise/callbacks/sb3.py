"""A callback of Stable-Baselines3, for all of its algorithms."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter

from rungwise.callbacks.scalars import read_budget
from rungwise.judging.watch import Watch


class HealthCallback(BaseCallback, KVWriter):
    """Judges what SB3 logs, and ends ``learn`` where a finding calls for it.

    Args:
        options: those of :class:`Watch`; the budget is ``total_timesteps``, or not known with
            ``reset_num_timesteps=False``, which continues a training by several calls.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options, self.watch = options, Watch(**options)

    def _on_training_start(self) -> None:
        if self.locals.get("reset_num_timesteps"):
            defaults: dict[str, Any] = {"budget": read_budget(self.locals["total_timesteps"])}
            self.watch = Watch(**defaults | self._options)
        # A row is complete when the logger writes it, for which a callback has no method.
        if self not in self.logger.output_formats:
            self.logger.output_formats.append(self)

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Judge a row of the logger."""
        self.watch.feed(key_values)

    def close(self) -> None:
        """Close nothing: rows are not stored."""

    def _on_step(self) -> bool:
        # After a NaN reward the next update makes all parameters NaN, and SB3 raises an error
        # before it writes the row.
        if self.watch.stop is None and not np.isfinite(self.locals.get("rewards", 0.0)).all():
            self.watch.feed({"nonfinite": 1, "nonfinite_where": "a reward"})
            self.watch.judge()
        return not self.watch.should_stop

    def _on_training_end(self) -> None:
        self.watch.judge()
