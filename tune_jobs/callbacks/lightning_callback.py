"""A callback of Lightning."""

# Lightning is no dependency, so that its types may be missing.
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from tune_jobs.judging.watch import Watch


class HealthCallback(Callback):
    """Judges what a module logs, and ends ``fit`` where a finding calls for it.

    Args:
        every_n_batches: batches that make a row; 0 makes a row of each epoch with its validation.
        options: those of :class:`Watch`; the budget is the trainer's number of steps or epochs.
    """

    def __init__(self, every_n_batches: int = 0, **options: Any) -> None:
        self._every_n_batches, self._options = every_n_batches, options
        self._before: dict[str, Any] = {}
        self.watch = Watch(**options)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge a training anew, as long as it is."""
        # Both are -1 where there is no limit.
        budget = max(0, trainer.max_steps if trainer.max_steps > 0 else trainer.max_epochs)
        known: dict[str, Any] = {"budget": budget, "progress": "progress"}
        self.watch = Watch(**known | self._options)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Judge the last batches."""
        if self._every_n_batches and (batch_idx + 1) % self._every_n_batches == 0:
            self._judge(trainer, (batch_idx + 1) / trainer.num_training_batches)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge an epoch."""
        if not self._every_n_batches:
            self._judge(trainer, 1.0)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge the last rows."""
        self.watch.judge()

    def _judge(self, trainer: Trainer, epochs: float) -> None:
        steps = trainer.max_steps > 0
        progress = trainer.global_step if steps else trainer.current_epoch + epochs
        before, self._before = self._before, dict(trainer.callback_metrics)
        # What was not logged since, such as a validation of every fifth epoch, is the same tensor.
        fresh = {name: v for name, v in self._before.items() if v is not before.get(name)}
        self.watch.feed({"progress": progress, **fresh})
        # Every process has to end at the same batch.
        if trainer.strategy.reduce_boolean_decision(self.watch.should_stop, all=False):
            trainer.should_stop = True
