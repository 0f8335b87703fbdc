"""A callback of RSL-RL, for its runners and for subclasses of them."""

from __future__ import annotations

from typing import Any

from rungwise.callbacks.ending import Doomed, share_decision
from rungwise.callbacks.scalars import copy_scalars, read_budget
from rungwise.judging.watch import Watch
from rungwise.validation import InputError


class HealthCallback:
    """Judges what a runner logs, and ends ``learn`` where a finding calls for it.

    RSL-RL has no means of its own, so that an exception leaves the loop, and is not seen outside.
    What ``learn`` does at its end is done: the model is saved, and the writer is closed.

    Args:
        runner: made with a ``log_dir``.
        options: those of :class:`Watch`; the budget is the last iteration of ``learn``.
    """

    def __init__(self, runner: Any, **options: Any) -> None:
        if runner.logger.log_dir is None:
            raise InputError("RSL-RL logs nothing without a log_dir: give one to the runner.")
        self._runner, self._options, self.watch = runner, options, Watch(**options)
        self._learn, self._log, self._writer = runner.learn, runner.logger.log, None
        runner.learn, runner.logger.log = self.learn, self.log

    def learn(self, *args: object, **kwargs: object) -> None:
        """Train until the end, or until a finding ends it."""
        runner = self._runner
        try:
            self._learn(*args, **kwargs)
        except Doomed:
            if runner.logger.writer is not None:
                model = f"model_{runner.current_learning_iteration}.pt"
                runner.save(f"{runner.logger.log_dir}/{model}")
                runner.logger.stop_logging_writer()
        self.watch.judge()

    def log(self, it: int, start_it: int, total_it: int, *args: object, **kwargs: object) -> None:
        """Log an iteration and judge it."""
        logger = self._runner.logger
        if logger.writer is not self._writer:
            defaults: dict[str, Any] = {"budget": read_budget(total_it), "progress": "iteration"}
            self.watch = Watch(**defaults | self._options)
            self._writer, self._scalars = logger.writer, copy_scalars(logger.writer)
        self._log(it, start_it, total_it, *args, **kwargs)
        if self._writer is not None:
            count = {"iteration": it + 1, "env_steps": logger.tot_timesteps}
            self.watch.feed({**self._scalars, **count})
            self._scalars.clear()
        stop = self.watch.should_stop
        if self._runner.is_distributed:
            stop = share_decision(stop, self._runner.device)
        if stop:
            raise Doomed
