"""REINFORCE with a baseline (Williams 1992): the plain policy gradient.

The baseline is a learned value function with generalised advantage estimation (lambda 1 is the
whole return), a moving average of returns (which knows nothing of the state), or the mean return of
a group of episodes from the same start, with or without the episode itself (Quiet-STaR; RLOO,
Ahmadian et al. 2024). Read with ``advantages.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from algos.actions.topk import entropy_per_choice
from algos.advantages import (
    compute_value_metrics,
    gae,
    group_advantages,
    has_signal,
    leave_one_out,
    returns_to_go,
)
from algos.algorithm import ColumnAlgorithm
from algos.config import EpisodeSettings
from algos.exploration import compute_entropy_metrics
from algos.losses import average_over_rows, compute_logps_and_advantages, kl_estimate, value_error
from algos.requirements import Need
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Array, Rollout, normalise_advantages
from envs.validation import AtLeastOne, Between, Fraction, InputError, NonNegative


@dataclass(frozen=True)
class ReinforceSettings(EpisodeSettings):
    """Settings of REINFORCE. Groups of episodes are for the baselines made of them."""

    baseline: Literal["value", "moving_average", "group_mean", "leave_one_out"] = "value"
    """What a return is compared with: a learned value, the average of returns so far, or the
    episodes from the same start."""
    baseline_momentum: Annotated[float, Between(0, 1, high_open=True)] = 0.95
    """Share of the past in each update of the `moving_average`."""
    lam: Annotated[float, Fraction] = 0.95
    """Lambda of GAE (`value`): 0 trusts the value function, 1 the discounted returns."""
    rollout_length: Annotated[int, AtLeastOne] = 128
    """Steps of each copy in one iteration; with a group baseline, the longest episode."""
    epochs: Annotated[int, AtLeastOne] = 1
    """Passes over each iteration's rows; the gradient is exact in the first only."""
    normalise_rewards: bool = False
    """Divide rewards by the root mean square of the episodes' returns so far."""
    normalise_advantages: bool = True
    """Scale each iteration's advantages to mean 0 and standard deviation 1."""
    value_coef: Annotated[float, NonNegative] = 0.5
    """Weight of the value error."""
    reference_kl_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the KL to the policy as it was when training began."""
    likelihood_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the log-probability of what follows a thought, for model `thinker`."""

    @property
    def collects_groups(self) -> bool:
        """Only for baselines made of groups."""
        return self.baseline in ("group_mean", "leave_one_out")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.collects_groups and self.group_size < 2:
            raise InputError(
                f"ReinforceSettings.group_size must be at least 2 for baseline={self.baseline}."
            )
        if self.likelihood_coef and self.model != "thinker":
            raise InputError(
                f"ReinforceSettings.likelihood_coef is {self.likelihood_coef}, but it would do "
                f"nothing: model={self.model!r} does not read. Set model='thinker', or it to 0."
            )


class Reinforce(ColumnAlgorithm):
    """Policy gradient without a trust region."""

    settings_class = ReinforceSettings
    variants: ClassVar = {
        "baseline: value": {},
        "baseline: group_mean, leave_one_out": {"baseline": "leave_one_out"},
    }

    @staticmethod
    def get_environment_needs(settings: ReinforceSettings) -> frozenset[Need]:
        """Repeatable starts, for baselines made of groups."""
        return frozenset({"starts"}) if settings.collects_groups else frozenset()

    @staticmethod
    def get_reference_interval(settings: ReinforceSettings) -> int | None:
        """The policy of the beginning, if the KL to it has a weight."""
        return 0 if settings.reference_kl_coef else None

    @staticmethod
    def compute_advantages(rollout: Rollout, settings: ReinforceSettings) -> Columns:
        """Rows with their advantage and, for a learned baseline, their return."""
        s, r = settings, rollout.normalise_rewards() if settings.normalise_rewards else rollout
        if s.baseline == "value":
            advantages = gae(r.rewards, r.values, r.next_values, r.done, s.gamma, s.lam)
            returns = advantages + r.values
            by_row = r.compute_row_advantages(advantages)
            return r.to_rows(advantages=advantages, returns=returns, values=r.values, **by_row)
        if s.baseline == "moving_average":
            # Nothing is bootstrapped from a value that nobody learns.
            returns = returns_to_go(r.rewards, np.zeros_like(r.next_values), r.done, s.gamma)
            return r.to_rows(
                advantages=returns, returns=returns, **r.compute_row_advantages(returns)
            )
        groups = r.returns(s.gamma).reshape(1, -1, s.group_size)
        rows = r.row_returns_to_go(s.gamma)
        if rows is not None:  # each row is compared with the same row of other episodes
            rows = _subtract_group_baseline(rows[0].reshape(*groups.shape, -1).swapaxes(2, 3), s)
        return r.to_group_rows(_subtract_group_baseline(groups, s), has_signal(groups), rows)

    @staticmethod
    def preprocess_batch(
        rows: Columns, settings: ReinforceSettings
    ) -> tuple[Columns, dict[str, float]]:
        """Normalise advantages over all rows."""
        advantages = rows["advantages"]
        metrics = {
            "advantage_mean": float(advantages.mean()),
            "advantage_std": float(advantages.std()),
        }
        if settings.baseline == "value":
            metrics |= compute_value_metrics(rows["values"], rows["returns"])
        elif settings.collects_groups:
            metrics["group_signal"] = float(rows["signal"].mean())
        else:
            return rows, metrics  # what to scale by is an average as well
        if settings.normalise_advantages:
            rows = normalise_advantages(rows)
        return rows, metrics

    @staticmethod
    def compute_loss_terms(
        forward: Mapping[str, Any],
        batch: Columns,
        settings: ReinforceSettings,
        coefficients: Mapping[str, float],
    ) -> dict[str, Tensor]:
        """-log p * advantage, value error, entropy bonus and KL to the reference."""
        dist = forward["dist"]
        logp, _, advantages = compute_logps_and_advantages(dist, batch)
        if settings.baseline == "moving_average":
            advantages = _subtract_average(advantages, coefficients, settings)
        terms = {"policy": average_over_rows(-logp * advantages)}
        if settings.baseline == "value":
            error = value_error(forward["value"], batch["returns"], batch["values"], clip=0)
            terms["value"] = 0.5 * settings.value_coef * error
        if weight := coefficients["entropy_coef"]:
            terms["entropy"] = -weight * entropy_per_choice(dist)
        if weight := settings.reference_kl_coef:
            terms["reference_kl"] = weight * kl_estimate(
                batch["reference_logp"], _sum_over_rows(logp)
            )
        if weight := settings.likelihood_coef:
            terms["likelihood"] = -weight * forward["likelihood"]
        return terms

    @staticmethod
    def compute_metrics(
        forward: Mapping[str, Any], batch: Columns, settings: ReinforceSettings
    ) -> dict[str, Tensor]:
        """What the update did to the policy."""
        dist = forward["dist"]
        logp, old, advantages = compute_logps_and_advantages(dist, batch)
        stats = {
            "policy_loss": -(logp * advantages).mean(),
            "kl": kl_estimate(logp, old).mean(),
        }
        if settings.baseline == "value":
            error = value_error(forward["value"], batch["returns"], batch["values"], clip=0)
            stats["value_loss"] = 0.5 * error.mean()
        if settings.baseline == "moving_average":
            returns = batch["returns"]
            stats |= {"return_seen": returns.mean(), "return_square": (returns**2).mean()}
        if settings.reference_kl_coef:
            stats["reference_kl"] = kl_estimate(
                batch["reference_logp"], _sum_over_rows(logp)
            ).mean()
        return stats | compute_entropy_metrics(dist)

    @staticmethod
    def initial_coefficients(settings: ReinforceSettings) -> dict[str, float]:
        """The averages of returns and their squares, and the weight of what is in them so far."""
        return ColumnAlgorithm.initial_coefficients(settings) | dict.fromkeys(AVERAGES, 0.0)

    @staticmethod
    def adapt_coefficients(
        coefficients: dict[str, float], settings: ReinforceSettings, stats: Mapping[str, float]
    ) -> dict[str, float]:
        """The averages move towards the returns of this update."""
        changed = ColumnAlgorithm.adapt_coefficients(coefficients, settings, stats)
        if settings.baseline == "moving_average":
            keep = settings.baseline_momentum
            seen = (stats["return_seen"], stats["return_square"], 1.0)
            changed |= {
                name: keep * coefficients[name] + (1 - keep) * new
                for name, new in zip(AVERAGES, seen, strict=True)
            }
        return changed


AVERAGES = ("average_return", "average_square", "average_weight")


def _subtract_average(
    advantages: Tensor, coefficients: Mapping[str, float], settings: ReinforceSettings
) -> Tensor:
    """Returns minus their moving average and, if they are normalised, over its deviation."""
    mean, square, weight = (coefficients[name] for name in AVERAGES)
    if not weight:  # before the first update there is nothing to compare with
        return advantages
    mean, square = mean / weight, square / weight
    deviation = max(square - mean**2, 1e-8) ** 0.5
    return (advantages - mean) / (deviation if settings.normalise_advantages else 1.0)


def _sum_over_rows(logp: Tensor) -> Tensor:
    """The log-probability [N] of actions, from that of their rows [N, R] if it has any."""
    return logp.sum(-1) if logp.ndim > 1 else logp


def _subtract_group_baseline(groups: Array, settings: ReinforceSettings) -> Array:
    """Returns [..., G] of episodes from the same start -> advantages [..., G]."""
    if settings.baseline == "leave_one_out":
        return leave_one_out(groups)
    return group_advantages(groups, scale=False)
