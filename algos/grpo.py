"""Group relative policy optimisation (Shao et al. 2024): PPO's clip without a critic.

Each start is lived through G times; an episode is worth its return compared with its group's, or a
step of it what follows, compared with the same step's. Read with ``advantages.py`` (the group's
part) and ``losses.py`` (clip and KL).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from torch import Tensor

from algos.actions.topk import entropy_per_choice, log_probabilities
from algos.advantages import group_advantages, has_signal
from algos.algorithm import ColumnAlgorithm
from algos.config import EpisodeSettings
from algos.exploration import compute_entropy_metrics
from algos.losses import (
    average_over_rows,
    clip_fraction,
    clipped_surrogate,
    compute_logps_and_advantages,
    kl_estimate,
)
from algos.requirements import Need
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Rollout
from envs.validation import Fraction, InputError, NonNegative, Positive


@dataclass(frozen=True)
class GRPOSettings(EpisodeSettings):
    """Settings of GRPO. Rewards are not discounted unless `gamma` says so."""

    gamma: Annotated[float, Fraction] = 1.0
    """Discount of the next step's reward."""
    clip: Annotated[float, Positive] = 0.2
    """How far the probability ratio may move before it earns nothing more."""
    supervision: Literal["outcome", "process"] = "outcome"
    """`outcome`: all steps of an episode share what its return is worth in the group; `process`:
    what follows a step is compared with what follows the same step of the others, for rewards that
    come step by step."""
    scale_advantages: bool = True
    """Divide by the group's standard deviation; false is Dr. GRPO (Liu et al. 2025)."""
    reference_kl_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the KL to the frozen reference policy."""
    reference_interval: Annotated[int, NonNegative] = 0
    """Updates after which the reference is taken anew; 0: it stays that of the beginning."""
    kl_limit: Annotated[float, NonNegative] = 0.0
    """Leave out the remaining epochs once an epoch's KL is above this; 0 never does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_size < 2:
            raise InputError(
                "GRPOSettings.group_size must be at least 2: an episode is compared with the "
                "others of its group."
            )


class GRPO(ColumnAlgorithm):
    """Clipped policy gradient with advantages relative to a group."""

    settings_class = GRPOSettings

    @staticmethod
    def get_environment_needs(settings: GRPOSettings) -> frozenset[Need]:
        """Repeatable starts."""
        return frozenset({"starts"})

    @staticmethod
    def get_reference_interval(settings: GRPOSettings) -> int | None:
        """A reference, if the KL to it has a weight."""
        return settings.reference_interval if settings.reference_kl_coef else None

    @staticmethod
    def compute_advantages(rollout: Rollout, settings: GRPOSettings) -> Columns:
        """What follows each step, or all of its episode, compared with that of its group.

        Each row of an action that has rewards of its own is compared with the same row of the
        others. Process supervision compares returns to go, where the paper (section 4.1.3) sums
        normalised rewards: what all of a group gain with time is then nobody's merit.
        """
        s = settings
        judged = len(rollout.rewards) if s.supervision == "process" else 1
        following = rollout.returns_to_go(s.gamma)[:judged]
        groups = following.reshape(judged, -1, s.group_size)
        rows = rollout.row_returns_to_go(s.gamma)
        if rows is not None:
            rows = rows[:judged].reshape(*groups.shape, -1).swapaxes(2, 3)
            rows = group_advantages(rows, scale=s.scale_advantages)
        advantages = group_advantages(groups, scale=s.scale_advantages)
        return rollout.to_group_rows(advantages, has_signal(groups), rows)

    @staticmethod
    def preprocess_batch(rows: Columns, settings: GRPOSettings) -> tuple[Columns, dict[str, float]]:
        """Leave out the groups whose returns are all equal: they say nothing."""
        signal = rows["signal"]
        metrics = {"group_signal": float(signal.mean())}
        if signal.any():
            metrics["advantage_std"] = float(rows["advantages"][signal].std())
        return rows.select(np.flatnonzero(signal)), metrics

    @staticmethod
    def compute_reference_columns(forward: Mapping[str, Any], batch: Columns) -> dict[str, Tensor]:
        """The reference's log-probabilities of actions, or of each row of an action."""
        found = log_probabilities(forward["dist"], batch)
        return {"reference_logp": found.get("row_logp", found["logp"])}

    @staticmethod
    def compute_loss_terms(
        forward: Mapping[str, Any],
        batch: Columns,
        settings: GRPOSettings,
        coefficients: Mapping[str, float],
    ) -> dict[str, Tensor]:
        """Clipped surrogate, entropy bonus and KL to the reference."""
        dist = forward["dist"]
        logp, old, advantages = compute_logps_and_advantages(dist, batch)
        terms = {
            "policy": average_over_rows(clipped_surrogate(logp, old, advantages, settings.clip))
        }
        if weight := coefficients["entropy_coef"]:
            terms["entropy"] = -weight * entropy_per_choice(dist)
        if weight := settings.reference_kl_coef:
            terms["reference_kl"] = weight * average_over_rows(
                kl_estimate(batch["reference_logp"], logp)
            )
        return terms

    @staticmethod
    def compute_metrics(
        forward: Mapping[str, Any], batch: Columns, settings: GRPOSettings
    ) -> dict[str, Tensor]:
        """What the update did to the policy."""
        dist = forward["dist"]
        logp, old, advantages = compute_logps_and_advantages(dist, batch)
        policy = clipped_surrogate(logp, old, advantages, settings.clip)
        stats = {
            "policy_loss": policy.mean(),
            "kl": kl_estimate(logp, old).mean(),
            "clip_fraction": clip_fraction(logp, old, settings.clip),
        }
        if settings.reference_kl_coef:
            stats["reference_kl"] = kl_estimate(batch["reference_logp"], logp).mean()
        return stats | compute_entropy_metrics(dist)

    @staticmethod
    def should_stop_epochs(
        settings: GRPOSettings, measure: Callable[[], Mapping[str, Tensor]]
    ) -> bool:
        """Stop the epochs once the policy has moved far enough."""
        return settings.kl_limit > 0 and bool(measure()["kl"] > settings.kl_limit)
