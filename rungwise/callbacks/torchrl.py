"""A hook of TorchRL's ``Trainer``, and of the trainers of its algorithms, which are subclasses."""

from __future__ import annotations

from typing import Any

from rungwise.callbacks.scalars import read_budget
from rungwise.judging.watch import Watch

EPISODES = {"train/reward": "episode_reward", "train/episode_length": "step_count"}
"""Keys of the transforms ``RewardSum`` and ``StepCounter``, which count until an episode ends."""


class HealthHook:
    """Judges what a trainer logs, and asks it to stop where a finding calls for it.

    The returns are those of the transform ``RewardSum``.

    Args:
        options: those of :class:`Watch`; the budget is ``total_frames``.
    """

    def __init__(self, **options: Any) -> None:
        self._options, self.watch = options, Watch(**options)
        self._seen: dict[str, int] = {}

    def register(self, trainer: Any, name: str = "health") -> None:
        """Add the hook to a trainer: after those that log, and at the end."""
        self._trainer = trainer
        defaults: dict[str, Any] = {"budget": read_budget(trainer.total_frames)}
        self.watch = Watch(**defaults | self._options)
        trainer.register_op("post_steps_log", self)
        trainer.register_op("shutdown", self.watch.judge)

    def __call__(self, batch: Any = None) -> None:
        """Judge what was logged since the last call, and the episodes of a batch that have ended.

        Args:
            batch: what was collected; None of a collector that fills a replay buffer itself.
        """
        trainer = self._trainer
        row: dict[str, Any] = {"env_steps": trainer.collected_frames}
        # As TorchRL's EarlyStopping reads them: a logger gets one only now and then.
        for name, values in trainer._log_dict.items():
            if len(values) > self._seen.get(name, 0):
                self._seen[name] = len(values)
                row[name if name == "grad_norm" else f"train/{name}"] = values[-1]
        if batch is not None and (done := batch["next", "done"]).any():
            for name, key in EPISODES.items():
                if (values := batch.get(("next", key), None)) is not None:
                    row[name] = values[done].float().mean()
        self.watch.feed(row)
        if self.watch.should_stop and self.watch.stop:
            trainer.request_stop(f"{self.watch.stop.symptom}: {self.watch.stop.evidence}")
