"""Proximal policy optimisation (Schulman et al. 2017) with generalised advantage estimation.

Read together with ``advantages.py`` and ``losses.py``. Left out on purpose: recurrent policies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from torch import Tensor

from algos.actions.action_heads import ActionHead
from algos.actions.topk import entropy_per_choice
from algos.advantages import compute_value_metrics, gae
from algos.algorithm import ColumnAlgorithm
from algos.config import TrainingSettings
from algos.exploration import (
    adapt_entropy_coef,
    adapt_kl_coef,
    compute_entropy_metrics,
    marginal_entropy,
)
from algos.losses import (
    average_over_rows,
    clip_fraction,
    clipped_surrogate,
    compute_logps_and_advantages,
    kl_estimate,
    value_error,
)
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Rollout, normalise_advantages
from envs.validation import Fraction, InputError, NonNegative, Positive


@dataclass(frozen=True)
class PPOSettings(TrainingSettings):
    """Settings of PPO."""

    lam: Annotated[float, Fraction] = 0.95
    """Lambda of GAE: 0 trusts the value function, 1 the sampled returns."""
    clip: Annotated[float, Positive] = 0.2
    """How far the probability ratio may move before it earns nothing more."""
    normalise_rewards: bool = False
    """Divide rewards by the root mean square of the episodes' returns so far."""
    normalise_advantages: bool = True
    """Scale each iteration's advantages to mean 0 and standard deviation 1."""
    value_coef: Annotated[float, NonNegative] = 0.5
    """Weight of the value error."""
    value_clip: Annotated[float, NonNegative] = 0.0
    """How far the value may move in an update before its error counts in full; 0 does not clip."""
    entropy_target: Annotated[float, Fraction] = 0.0
    """Normalised entropy to steer towards by adapting the weight; 0 keeps to the schedule."""
    kl_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the KL penalty to the collecting policy."""
    kl_target: Annotated[float, NonNegative] = 0.0
    """KL to steer towards by adapting the penalty's weight; 0 keeps it fixed."""
    kl_limit: Annotated[float, NonNegative] = 0.0
    """Leave out the remaining epochs once an epoch's KL is above this; 0 never does."""
    diversity_coef: Annotated[float, NonNegative] = 0.0
    """Weight of a bonus on the entropy of the choices averaged over states."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kl_target > 0 and self.kl_coef <= 0:
            raise InputError(
                "PPOSettings.kl_coef must be greater than 0 for kl_target to adapt it."
            )
        if self.entropy_target > 0 and self.entropy_coef <= 0:
            raise InputError(
                "PPOSettings.entropy_coef must be greater than 0 for entropy_target to adapt it."
            )


class PPO(ColumnAlgorithm):
    """Clipped policy gradient with a learned value function."""

    settings_class = PPOSettings

    @staticmethod
    def compute_advantages(rollout: Rollout, settings: PPOSettings) -> Columns:
        """Rows with their advantage and return."""
        if settings.normalise_rewards:
            rollout = rollout.normalise_rewards()
        advantages = gae(
            rollout.rewards,
            rollout.values,
            rollout.next_values,
            rollout.done,
            settings.gamma,
            settings.lam,
        )
        returns = advantages + rollout.values
        by_row = rollout.compute_row_advantages(advantages)
        return rollout.to_rows(
            advantages=advantages, returns=returns, values=rollout.values, **by_row
        )

    @staticmethod
    def preprocess_batch(rows: Columns, settings: PPOSettings) -> tuple[Columns, dict[str, float]]:
        """Normalise advantages over all rows; say how much of the returns the value explains."""
        metrics = {"advantage_std": float(rows["advantages"].std())}
        metrics |= compute_value_metrics(rows["values"], rows["returns"])
        if settings.normalise_advantages:
            rows = normalise_advantages(rows)
        return rows, metrics

    @staticmethod
    def compute_loss_terms(
        forward: Mapping[str, Any],
        batch: Columns,
        settings: PPOSettings,
        coefficients: Mapping[str, float],
    ) -> dict[str, Tensor]:
        """Clipped surrogate, value error, entropy bonus, KL penalty and diversity bonus."""
        dist, values = forward["dist"], forward["value"]
        logp, old, advantages = compute_logps_and_advantages(dist, batch)
        error = value_error(values, batch["returns"], batch["values"], settings.value_clip)
        terms = {
            "policy": average_over_rows(clipped_surrogate(logp, old, advantages, settings.clip)),
            "value": 0.5 * settings.value_coef * error,
        }
        # The graph of a term without weight would cost a tenth of the update, for nothing.
        if weight := coefficients["entropy_coef"]:
            terms["entropy"] = -weight * entropy_per_choice(dist)
        if weight := coefficients["kl_coef"]:
            terms["kl"] = weight * average_over_rows(kl_estimate(logp, old))
        if weight := settings.diversity_coef:
            terms["diversity"] = -weight * marginal_entropy(dist.choice_probabilities())
        return terms

    @staticmethod
    def compute_metrics(
        forward: Mapping[str, Any], batch: Columns, settings: PPOSettings
    ) -> dict[str, Tensor]:
        """What the update did to the policy, for people and health rules."""
        dist = forward["dist"]
        logp, old, advantages = compute_logps_and_advantages(dist, batch)
        policy = clipped_surrogate(logp, old, advantages, settings.clip)
        error = value_error(
            forward["value"], batch["returns"], batch["values"], settings.value_clip
        )
        return {
            "policy_loss": policy.mean(),
            "value_loss": 0.5 * error.mean(),
            "kl": kl_estimate(logp, old).mean(),
            "clip_fraction": clip_fraction(logp, old, settings.clip),
        } | compute_entropy_metrics(dist)

    @staticmethod
    def validate_action_space(settings: PPOSettings, head: ActionHead) -> None:
        """Entropy targets need a largest entropy; diversity needs a choice."""
        if settings.entropy_target > 0 and head.num_log_stds and not head.choices:
            raise InputError(
                "PPOSettings.entropy_target would do nothing: values without bounds have no "
                "largest entropy to compare with. Set it to 0 and use entropy_coef."
            )
        if settings.diversity_coef > 0 and not head.choices:
            raise InputError(
                f"PPOSettings.diversity_coef would do nothing: {head.space} has no single choice. "
                "Set it to 0."
            )

    @staticmethod
    def initial_coefficients(settings: PPOSettings) -> dict[str, float]:
        """The two weights that may change."""
        return {"entropy_coef": settings.entropy_coef, "kl_coef": settings.kl_coef}

    @staticmethod
    def schedule_coefficients(
        coefficients: dict[str, float], settings: PPOSettings, progress: float
    ) -> dict[str, float]:
        """The entropy weight follows its schedule unless it is steered."""
        if settings.entropy_target > 0:
            return coefficients
        return ColumnAlgorithm.schedule_coefficients(coefficients, settings, progress)

    @staticmethod
    def adapt_coefficients(
        coefficients: dict[str, float], settings: PPOSettings, stats: Mapping[str, float]
    ) -> dict[str, float]:
        """Steer entropy and KL weights where the settings name a target."""
        changed = ColumnAlgorithm.adapt_coefficients(coefficients, settings, stats)
        if settings.entropy_target > 0 and "entropy_normalised" in stats:
            changed["entropy_coef"] = adapt_entropy_coef(
                coefficients["entropy_coef"], stats["entropy_normalised"], settings.entropy_target
            )
        if settings.kl_target > 0:
            changed["kl_coef"] = adapt_kl_coef(
                coefficients["kl_coef"], stats["kl"], settings.kl_target
            )
        return changed

    @staticmethod
    def should_stop_epochs(
        settings: PPOSettings, measure: Callable[[], Mapping[str, Tensor]]
    ) -> bool:
        """Stop the epochs once the policy has moved far enough."""
        return settings.kl_limit > 0 and bool(measure()["kl"] > settings.kl_limit)
