"""Proximal policy optimisation (Schulman et al. 2017) with generalised advantage estimation.

Read together with ``rollouts/advantages.py`` and ``losses/loss_functions.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from algos.algorithm import ColumnAlgorithm
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
from algos.settings.ppo import PPOSettings


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
                "clip_fraction": clip_fraction(logp, old, s.clip),
            } | compute_entropy_metrics(dist)

        return Loss(terms, measure, kl=lambda: kl_estimate(logp, old).mean())

    def initialise_coefficients(self) -> dict[str, float]:
        """Return the weights of entropy bonus and KL penalty."""
        return super().initialise_coefficients() | {"kl_coef": self.settings.kl_coef}


class PPO(ColumnAlgorithm):
    """The training loop with PPO's objective."""

    settings_class = PPOSettings
    objective_class = PPOObjective
