"""A callback of Transformers' ``Trainer``, and of the trainers of TRL, which are subclasses."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rungwise.callbacks.ending import share_decision
from rungwise.callbacks.scalars import read_budget
from rungwise.judging.watch import Watch


class HealthCallback(TrainerCallback):
    """Judges what the trainer logs, and ends ``train`` where a finding calls for it.

    Args:
        options: those of :class:`Watch`; the budget is the trainer's number of steps.
    """

    def __init__(self, **options: Any) -> None:
        self._options, self.watch = options, Watch(**options)
        self._none: set[str] = set()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Judge a training anew, as long as it is."""
        defaults: dict[str, Any] = {"budget": read_budget(state.max_steps), "progress": "progress"}
        self.watch = Watch(**defaults | self._options)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """Judge a row, and end the training of all processes if the first one says so."""
        # The last row repeats means over the whole training.
        if logs and "train_runtime" not in logs and state.is_world_process_zero:
            # TRL logs None for NaN. One row of it may be a batch that no reward applies to.
            before, self._none = self._none, {name for name, v in logs.items() if v is None}
            lasting = dict.fromkeys(before & self._none, math.nan)
            self.watch.feed({**logs, **lasting, "progress": state.global_step})
        stop = self.watch.should_stop
        if args.world_size > 1:
            stop = share_decision(stop, args.device)
        control.should_training_stop = control.should_training_stop or stop

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Judge the last rows."""
        self.watch.judge()
