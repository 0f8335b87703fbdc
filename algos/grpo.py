"""Group relative policy optimisation (Shao et al. 2024): PPO's clip without a critic.

Each start is lived through G times; an episode is worth its return compared with its group's, or a
step of it what follows, compared with the same step's. Read with ``rollouts/advantages.py`` (the
group's part) and ``losses/loss_functions.py`` (clip and KL).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
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
)
from algos.objective import Loss, Need, Objective
from algos.rollouts.advantages import group_advantages, has_signal
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Rollout
from algos.settings.grpo import GRPOSettings


class GRPOObjective(Objective[GRPOSettings]):
    """Clipped surrogate with advantages relative to a group of episodes."""

    @property
    def needs(self) -> frozenset[Need]:
        """Repeatable starts, for the groups."""
        return frozenset({"starts"})

    def compute_advantages(self, rollout: Rollout) -> Columns:
        """Compare what follows each step, or the whole episode, with the group's.

        Each row of an action that has rewards of its own is compared with the same row of the
        others. Process supervision compares returns to go, where the paper (section 4.1.3) sums
        normalised rewards: those credit an action with what the whole group gains over time.
        """
        s = self.settings
        # Under outcome supervision the first step's return to go stands for the episode.
        judged = len(rollout.rewards) if s.supervision == "process" else 1
        following = rollout.returns_to_go(s.gamma)[:judged]
        groups = following.reshape(judged, -1, s.group_size)
        rows = rollout.row_returns_to_go(s.gamma)
        if rows is not None:
            # [T, B, R] -> [T, P, G, R] -> [T, P, R, G]: group_advantages compares along
            # the last axis.
            rows = rows[:judged].reshape(*groups.shape, -1).swapaxes(2, 3)
            rows = group_advantages(rows, scale=True)
        advantages = group_advantages(groups, scale=True)
        return rollout.to_group_rows(advantages, has_signal(groups), rows)

    def preprocess_batch(self, rows: Columns) -> tuple[Columns, dict[str, float]]:
        """Leave out the groups whose returns are all equal: their advantages are zero."""
        signal = rows["signal"]
        metrics = {"group_signal": float(signal.mean())}
        if signal.any():
            metrics["advantage_std"] = float(rows["advantages"][signal].std())
        return rows.select(np.flatnonzero(signal)), metrics

    @property
    def reference_interval(self) -> int | None:
        """Keep a reference if the KL to it has a weight."""
        s = self.settings
        return s.reference_interval if s.reference_kl_coef else None

    def loss(
        self, forward: Mapping[str, Any], batch: Columns, coefficients: Mapping[str, float]
    ) -> Loss:
        """Return clipped surrogate, exploration bonuses and KL to the reference."""
        s, dist = self.settings, forward["dist"]
        logp, old, advantages = compute_logps_and_advantages(dist, batch)
        surrogate = clipped_surrogate(logp, old, advantages, s.clip)
        terms = {"policy": average_over_rows(surrogate)}
        terms |= compute_exploration_terms(dist, coefficients["entropy_coef"], s.diversity_coef)
        if weight := s.reference_kl_coef:
            to_reference = kl_estimate(batch["reference_logp"], logp)
            terms["reference_kl"] = weight * average_over_rows(to_reference)

        def measure() -> dict[str, Tensor]:
            metrics = {
                "policy_loss": surrogate.mean(),
                "clip_fraction": clip_fraction(logp, old, s.clip),
            }
            if s.reference_kl_coef:
                metrics["reference_kl"] = kl_estimate(batch["reference_logp"], logp).mean()
            return metrics | compute_entropy_metrics(dist)

        return Loss(terms, measure, kl=lambda: kl_estimate(logp, old).mean())


class GRPO(ColumnAlgorithm):
    """The training loop with GRPO's objective."""

    settings_class = GRPOSettings
    objective_class = GRPOObjective
