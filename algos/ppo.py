"""Proximal policy optimisation (Schulman et al. 2017) with generalised advantage estimation.

Read together with ``rollouts/advantages.py`` and ``losses/loss_functions.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from torch import Tensor

from algos.algorithm import ColumnAlgorithm
from algos.config import TrainingSettings
from algos.losses import (
    average_over_rows,
    clip_fraction,
    clipped_surrogate,
    compute_entropy_metrics,
    compute_exploration_terms,
    compute_logps_and_advantages,
    kl_estimate,
    value_error,
)
from algos.objective import Loss, Objective
from algos.rollouts.advantages import compute_value_metrics, gae
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Rollout, normalise_advantages
from algos.schedules import ScheduleKind
from envs.validation import AtLeastOne, Between, Fraction, NonNegative, Positive

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


class PPOObjective(Objective[PPOSettings]):
    """Clipped surrogate with a learned value function."""

    @property
    def has_critic(self) -> bool:
        """Always."""
        return True

    def compute_advantages(self, rollout: Rollout) -> Columns:
        """Return rows with their advantage, return and value."""
        s, r = self.settings, rollout
        if s.normalise_rewards:
            r = r.normalise_rewards()
        advantages = gae(r.rewards, r.values, r.next_values, r.done, s.gamma, s.lam)
        # The value's target is the lambda-return: the estimate of the advantage plus the
        # baseline.
        returns = advantages + r.values
        by_row = r.compute_row_advantages(advantages)
        return r.to_rows(advantages=advantages, returns=returns, values=r.values, **by_row)

    def preprocess_batch(self, rows: Columns) -> tuple[Columns, dict[str, float]]:
        """Normalise advantages over all rows; measure how much of the returns values explain."""
        metrics = {"advantage_std": float(rows["advantages"].std())}
        metrics |= compute_value_metrics(rows["values"], rows["returns"])
        if self.settings.normalise_advantages:
            rows = normalise_advantages(rows)
        return rows, metrics

    def loss(
        self, forward: Mapping[str, Any], batch: Columns, coefficients: Mapping[str, float]
    ) -> Loss:
        """Return clipped surrogate, value error, entropy and diversity bonuses and KL penalty."""
        s, dist = self.settings, forward["dist"]
        logp, old, advantages = compute_logps_and_advantages(dist, batch)
        surrogate = clipped_surrogate(logp, old, advantages, s.clip)
        error = value_error(forward["value"], batch["returns"])
        terms = {
            "policy": average_over_rows(surrogate),
            "value": 0.5 * s.value_coef * error,
        }
        terms |= compute_exploration_terms(dist, coefficients["entropy_coef"], s.diversity_coef)
        if weight := coefficients["kl_coef"]:
            terms["kl"] = weight * average_over_rows(kl_estimate(logp, old))

        def measure() -> dict[str, Tensor]:
            return {
                "policy_loss": surrogate.mean(),
                "value_loss": 0.5 * error.mean(),
                "kl": kl_estimate(logp, old).mean(),
                "clip_fraction": clip_fraction(logp, old, s.clip),
            } | compute_entropy_metrics(dist)

        return Loss(terms, measure)

    def initialise_coefficients(self) -> dict[str, float]:
        """Return the weights of entropy bonus and KL penalty."""
        return super().initialise_coefficients() | {"kl_coef": self.settings.kl_coef}


class PPO(ColumnAlgorithm):
    """The training loop with PPO's objective."""

    settings_class = PPOSettings
    objective_class = PPOObjective
