"""The settings of PPO."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Self

from algos.schedules import ScheduleKind
from algos.settings.training import TrainingSettings
from rungwise.validation import (
    AtLeastOne,
    Between,
    Fraction,
    NonNegative,
    Positive,
)

LENGTHS = (256, 128)
"""Rollout lengths that follow from the budget, the first where there are steps enough. With 64 the
grid world of docs/environments.md is learnt better still, but Taxi failed on two of four seeds."""
FEWEST_UPDATES = 48
"""Iterations that a budget should hold: short runs of discrete tasks that had 20 of them
ended below those of SB3 (docs/environments.md)."""


@dataclass(frozen=True)
class PPOSettings(TrainingSettings):
    """Settings of PPO. The defaults learn CartPole, Pendulum, LunarLander and HalfCheetah."""

    learns_sequences = True

    rollout_length: Annotated[int, NonNegative] = 0
    """Steps of each copy in one iteration (T): T * B rows per runner. 0 takes 256, or 128
    where a budget of `steps` would hold fewer than 48 iterations."""
    lr: Annotated[float, Between(0, 1)] = 7e-4
    """Learning rate of the optimiser, after the warm-up and before the schedule."""
    lr_schedule: ScheduleKind = "linear"
    """How the learning rate changes over the training budget."""
    epochs: Annotated[int, AtLeastOne] = 10
    """Passes over each iteration's rows."""
    kl_limit: Annotated[float, NonNegative] = 0.02
    """KL of an epoch above which the remaining epochs are skipped; 0 never skips."""
    minibatch_size: Annotated[int, AtLeastOne] = 64
    """Rows of one gradient."""
    lam: Annotated[float, Fraction] = 0.95
    """Lambda of GAE: 0 trusts the value function, 1 the sampled returns."""
    clip: Annotated[float, Positive] = 0.2
    """Largest change of the probability ratio that still raises the objective."""
    normalise_rewards: bool = False
    """Divide rewards by the root mean square of the episodes' returns so far."""
    normalise_advantages: bool = True
    """Scale each iteration's advantages to mean 0 and standard deviation 1."""
    normalise_values: bool = True
    """Fit the value to returns scaled by their running mean and deviation: it learns at the same
    pace, and takes the same part of the gradient, whatever the size of the rewards."""
    value_coef: Annotated[float, NonNegative] = 0.5
    """Weight of the value error."""
    kl_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the KL penalty to the collecting policy."""

    @property
    def rows_per_iteration(self) -> int:
        """Rows of one iteration, over all runners; the most where they follow from the budget."""
        return (self.rollout_length or LENGTHS[0]) * self.num_envs * self.runners

    def fit_to_budget(self, steps: int) -> Self:
        """See :class:`TrainingSettings`."""
        if self.rollout_length:
            return self
        copies = self.num_envs * self.runners
        shortest = self.sequence_length if self.memory != "none" else 1
        # A minibatch, or a step of several, must still be full.
        fitting = [
            length
            for length in LENGTHS
            if length * copies >= self.accumulate * self.minibatch_size and length >= shortest
        ] or [LENGTHS[0]]
        enough = [length for length in fitting if steps >= FEWEST_UPDATES * length * copies]
        length = fitting[0] if not steps else max(enough, default=fitting[-1])
        return replace(self, rollout_length=length)
