"""A callback of skrl, for the agent of a trainer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from skrl import config  # pyright: ignore
from skrl.trainers.torch import SequentialTrainer  # pyright: ignore

from rungwise.callbacks.ending import Doomed, share_decision
from rungwise.callbacks.scalars import copy_scalars, read_budget
from rungwise.judging.watch import Watch
from rungwise.validation import InputError

# Where skrl is not installed, pyright takes this file for it.
_processes: Any = config.torch  # pyright: ignore


class HealthCallback:
    """Judges what an agent writes, and ends ``train`` where a finding calls for it.

    The loop around a ``StepTrainer`` is the caller's, who looks at ``watch.should_stop``.

    Args:
        trainer: made with one agent, which may be of a multi-agent environment.
        options: those of :class:`Watch`; the budget is ``timesteps`` of all environments.
    """

    def __init__(self, trainer: Any, **options: Any) -> None:
        agent, self._envs, is_first = trainer.agents, trainer.env.num_envs, not _processes.rank
        defaults: dict[str, Any] = {"budget": read_budget(trainer.cfg.timesteps * self._envs)}
        self.watch = Watch(**defaults | options)
        if is_first and not hasattr(agent, "writer"):
            raise InputError(
                f"{type(agent).__name__} writes nothing that can be judged: give the trainer one "
                "agent whose experiment.write_interval is above 0."
            )
        self._agent, self._scalars = agent, copy_scalars(agent.writer) if is_first else {}
        self._interact, self._train = agent.post_interaction, trainer.train
        agent.post_interaction = self.post_interaction
        self._loops = isinstance(trainer, SequentialTrainer)
        trainer.train = self.train if self._loops else trainer.train

    def train(self) -> None:
        """Train until the end, or until a finding ends it."""
        with suppress(Doomed):
            self._train()
        self.watch.judge()

    def post_interaction(self, *, timestep: int, timesteps: int) -> None:
        """Let the agent update itself and write, and judge what it wrote."""
        self._interact(timestep=timestep, timesteps=timesteps)
        if self._scalars:
            self.watch.feed({**self._scalars, "env_steps": (timestep + 1) * self._envs})
        self._scalars.clear()
        stop = self.watch.should_stop
        if _processes.is_distributed:  # All processes ask at the same hundred steps.
            asks = timestep % max(timesteps // 100, 1) == 0
            stop = asks and share_decision(stop, self._agent.device)
        if stop and self._loops:
            raise Doomed
