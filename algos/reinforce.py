"""REINFORCE with a baseline (Williams 1992): the plain policy gradient.

The baseline is a learned value function with generalised advantage estimation (lambda 1 is the
whole return), a moving average of returns (which knows nothing of the state), or the mean return of
a group of episodes from the same start, with or without the episode itself (Quiet-STaR; RLOO,
Ahmadian et al. 2024). Read with ``rollouts/advantages.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from algos.algorithm import ColumnAlgorithm
from algos.losses import (
    average_over_rows,
    compute_entropy_metrics,
    compute_exploration_terms,
    compute_logps_and_advantages,
    kl_estimate,
    value_error,
)
from algos.objective import Loss, Need, Objective
from algos.rollouts.advantages import (
    compute_value_metrics,
    gae,
    group_advantages,
    has_signal,
    leave_one_out,
    returns_to_go,
)
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Array, Rollout, normalise_advantages
from algos.settings.reinforce import ReinforceSettings

AVERAGES = ("average_return", "average_square", "average_weight")
"""Coefficients of the `moving_average` baseline."""


class ReinforceObjective(Objective[ReinforceSettings]):
    """Policy gradient without a trust region."""

    variants: ClassVar = {
        "baseline: value": {},
        "baseline: group_mean, leave_one_out": {"baseline": "leave_one_out"},
    }

    @property
    def needs(self) -> frozenset[Need]:
        """Repeatable starts, for baselines made of groups."""
        return frozenset({"starts"}) if self.settings.collects_groups else frozenset()

    def compute_advantages(self, rollout: Rollout) -> Columns:
        """Return rows with their advantage and, unless it comes from a group, their return."""
        s, r = self.settings, rollout
        if s.normalise_rewards:
            r = r.normalise_rewards()
        if s.baseline == "value":
            advantages = gae(r.rewards, r.values, r.next_values, r.done, s.gamma, s.lam)
            returns = advantages + r.values
            by_row = r.compute_row_advantages(advantages)
            return r.to_rows(advantages=advantages, returns=returns, values=r.values, **by_row)
        if s.baseline == "moving_average":
            # The network's value is not trained here: bootstrapping from it would add noise.
            returns = returns_to_go(r.rewards, np.zeros_like(r.next_values), r.done, s.gamma)
            return r.to_rows(
                advantages=returns, returns=returns, **r.compute_row_advantages(returns)
            )
        groups = r.returns(s.gamma).reshape(1, -1, s.group_size)
        rows = r.row_returns_to_go(s.gamma)
        # rows[0]: the first step's return to go is that of the whole episode.
        if rows is not None:  # each row is compared with the same row of other episodes
            rows = self._subtract_group_baseline(rows[0].reshape(*groups.shape, -1).swapaxes(2, 3))
        return r.to_group_rows(self._subtract_group_baseline(groups), has_signal(groups), rows)

    def _subtract_group_baseline(self, groups: Array) -> Array:
        """Turn returns [..., G] of episodes from the same start into advantages [..., G]."""
        if self.settings.baseline == "leave_one_out":
            return leave_one_out(groups)
        return group_advantages(groups, scale=False)

    def preprocess_batch(self, rows: Columns) -> tuple[Columns, dict[str, float]]:
        """Normalise advantages over all rows."""
        s, advantages = self.settings, rows["advantages"]
        metrics = {
            "advantage_mean": float(advantages.mean()),
            "advantage_std": float(advantages.std()),
        }
        if s.baseline == "value":
            metrics |= compute_value_metrics(rows["values"], rows["returns"])
        elif s.collects_groups:
            metrics["group_signal"] = float(rows["signal"].mean())
        else:
            return rows, metrics  # the moving average scales them, in the loss
        if s.normalise_advantages:
            rows = normalise_advantages(rows)
        return rows, metrics

    @property
    def has_critic(self) -> bool:
        """With a value function as the baseline."""
        return self.settings.baseline == "value"

    @property
    def reference_interval(self) -> int | None:
        """Keep the initial policy if the KL to it has a weight."""
        return 0 if self.settings.reference_kl_coef else None

    def loss(
        self, forward: Mapping[str, Any], batch: Columns, coefficients: Mapping[str, float]
    ) -> Loss:
        """Return -log p * advantage, value error, exploration bonuses and KL to the reference."""
        s, dist = self.settings, forward["dist"]
        logp, old, advantages = compute_logps_and_advantages(dist, batch)
        baselined = advantages
        if s.baseline == "moving_average":
            baselined = self._subtract_average(advantages, coefficients)
        terms = {"policy": average_over_rows(-logp * baselined)}
        error = value_error(forward["value"], batch["returns"]) if s.baseline == "value" else None
        if error is not None:
            terms["value"] = 0.5 * s.value_coef * error
        terms |= compute_exploration_terms(dist, coefficients["entropy_coef"], s.diversity_coef)
        if weight := s.reference_kl_coef:
            to_reference = kl_estimate(batch["reference_logp"], logp)
            terms["reference_kl"] = weight * average_over_rows(to_reference)
        if weight := s.likelihood_coef:
            terms["likelihood"] = -weight * forward["likelihood"]

        def measure() -> dict[str, Tensor]:
            metrics = {"policy_loss": -(logp * baselined).mean()}
            if error is not None:
                metrics["value_loss"] = 0.5 * error.mean()
            if s.baseline == "moving_average":
                returns = batch["returns"]
                metrics |= {"return_seen": returns.mean(), "return_square": (returns**2).mean()}
            if s.reference_kl_coef:
                metrics["reference_kl"] = kl_estimate(batch["reference_logp"], logp).mean()
            return metrics | compute_entropy_metrics(dist)

        return Loss(terms, measure, kl=lambda: kl_estimate(logp, old).mean())

    def _subtract_average(self, returns: Any, coefficients: Mapping[str, float]) -> Any:
        """Subtract the moving average from returns [N]; divide by its deviation if asked to."""
        mean, square, weight = (coefficients[name] for name in AVERAGES)
        if not weight:  # before the first update there is no average
            return returns
        # Both averages start at 0; dividing by the summed weights removes that bias (as in Adam).
        mean, square = mean / weight, square / weight
        deviation = max(square - mean**2, 1e-8) ** 0.5
        return (returns - mean) / (deviation if self.settings.normalise_advantages else 1.0)

    def initialise_coefficients(self) -> dict[str, float]:
        """Add the averages of returns and of their squares, and the sum of their weights."""
        return super().initialise_coefficients() | dict.fromkeys(AVERAGES, 0.0)

    def adapt_coefficients(
        self, coefficients: dict[str, float], stats: Mapping[str, float]
    ) -> dict[str, float]:
        """Move the averages towards the returns of this update."""
        changed = super().adapt_coefficients(coefficients, stats)
        if self.settings.baseline == "moving_average":
            keep = self.settings.baseline_momentum
            latest = (stats["return_seen"], stats["return_square"], 1.0)
            changed |= {
                name: keep * coefficients[name] + (1 - keep) * value
                for name, value in zip(AVERAGES, latest, strict=True)
            }
        return changed

    def rescale_coefficients(
        self, coefficients: dict[str, float], factor: float
    ) -> dict[str, float]:
        """Bring the averages of returns, and of their squares, to the new unit."""
        mean, square, _ = AVERAGES
        factors = {mean: factor, square: factor**2}
        return {name: value * factors.get(name, 1.0) for name, value in coefficients.items()}


class Reinforce(ColumnAlgorithm):
    """The training loop with REINFORCE's objective."""

    settings_class = ReinforceSettings
    objective_class = ReinforceObjective
