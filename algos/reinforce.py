"""REINFORCE with a baseline (Williams 1992): the plain policy gradient.

The baseline is a learned value function with generalised advantage estimation (lambda 1 is the
whole return), or the mean return of a group of episodes from the same start, with or without the
episode itself (Quiet-STaR; RLOO, Ahmadian et al. 2024). Read with ``advantages.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from torch import Tensor

from algos.advantages import (
    gae,
    group_advantages,
    has_signal,
    leave_one_out,
    value_statistics,
)
from algos.algorithm import ColumnAlgorithm
from algos.columns import Columns
from algos.config import EpisodeSettings
from algos.exploration import entropies
from algos.losses import compared, kl_estimate, per_action, value_loss
from algos.requirements import Need
from algos.rollout import Array, Rollout, normalised_advantages
from algos.topk import entropy_per_choice
from envs.validation import AtLeastOne, Fraction, InputError, NonNegative


@dataclass(frozen=True)
class ReinforceSettings(EpisodeSettings):
    """Settings of REINFORCE. Groups of episodes are for the baselines made of them."""

    baseline: Literal["value", "group_mean", "leave_one_out"] = "value"
    """What a return is compared with: a learned value, or the episodes from the same start."""
    lam: Annotated[float, Fraction] = 0.95
    """Lambda of GAE (`value`): 0 trusts the value function, 1 the discounted returns."""
    rollout_length: Annotated[int, AtLeastOne] = 128
    """Steps of each copy in one iteration; with a group baseline, the longest episode."""
    epochs: Annotated[int, AtLeastOne] = 1
    """Passes over each iteration's rows; the gradient is exact in the first only."""
    normalise_advantages: bool = True
    """Scale each iteration's advantages to mean 0 and standard deviation 1."""
    value_coef: Annotated[float, NonNegative] = 0.5
    """Weight of the value error."""
    reference_kl_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the KL to the policy as it was when training began."""

    @property
    def grouped(self) -> bool:
        """Only for baselines made of groups."""
        return self.baseline != "value"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.grouped and self.group_size < 2:
            raise InputError(
                f"ReinforceSettings.group_size must be at least 2 for baseline={self.baseline}."
            )


class Reinforce(ColumnAlgorithm):
    """Policy gradient without a trust region."""

    settings_class = ReinforceSettings
    variants: ClassVar = {
        "baseline: value": {},
        "baseline: group_mean, leave_one_out": {"baseline": "leave_one_out"},
    }

    @staticmethod
    def needs(settings: ReinforceSettings) -> frozenset[Need]:
        """Repeatable starts, for baselines made of groups."""
        return frozenset({"starts"}) if settings.grouped else frozenset()

    @staticmethod
    def reference_every(settings: ReinforceSettings) -> int | None:
        """The policy of the beginning, if the KL to it has a weight."""
        return 0 if settings.reference_kl_coef else None

    @staticmethod
    def credit(rollout: Rollout, settings: ReinforceSettings) -> Columns:
        """Rows with their advantage and, for a learned baseline, their return."""
        s, r = settings, rollout
        if s.baseline == "value":
            advantages = gae(r.rewards, r.values, r.following, r.done, s.gamma, s.lam)
            returns = advantages + r.values
            by_row = r.row_advantages(advantages)
            return r.rows(advantages=advantages, returns=returns, values=r.values, **by_row)
        groups, rows = r.returns(s.gamma).reshape(-1, s.group_size), r.row_returns(s.gamma)
        if rows is not None:  # each row is compared with the same row of other episodes
            rows = _baselined(rows.reshape(-1, s.group_size, rows.shape[1]).swapaxes(1, 2), s)
        return r.compared(_baselined(groups, s), has_signal(groups), rows)

    @staticmethod
    def prepare(rows: Columns, settings: ReinforceSettings) -> tuple[Columns, dict[str, float]]:
        """Normalise advantages over all rows."""
        metrics = {"advantage_std": float(rows["advantages"].std())}
        if settings.baseline == "value":
            metrics |= value_statistics(rows["values"], rows["returns"])
        else:
            metrics["group_signal"] = float(rows["signal"].mean())
        if settings.normalise_advantages:
            rows = normalised_advantages(rows)
        return rows, metrics

    @staticmethod
    def terms(
        forward: Mapping[str, Any],
        batch: Columns,
        settings: ReinforceSettings,
        coefficients: Mapping[str, float],
    ) -> dict[str, Tensor]:
        """-log p * advantage, value error, entropy bonus and KL to the reference."""
        dist = forward["dist"]
        logp, _, advantages = compared(dist, batch)
        terms = {"policy": per_action(-logp * advantages)}
        if settings.baseline == "value":
            error = value_loss(forward["value"], batch["returns"], batch["values"], clip=0)
            terms["value"] = settings.value_coef * error
        if weight := coefficients["entropy_coef"]:
            terms["entropy"] = -weight * entropy_per_choice(dist)
        if weight := settings.reference_kl_coef:
            terms["reference_kl"] = weight * kl_estimate(batch["reference_logp"], _whole(logp))
        return terms

    @staticmethod
    def measured(
        forward: Mapping[str, Any], batch: Columns, settings: ReinforceSettings
    ) -> dict[str, Tensor]:
        """What the update did to the policy."""
        dist = forward["dist"]
        logp, old, advantages = compared(dist, batch)
        stats = {
            "policy_loss": -(logp * advantages).mean(),
            "kl": kl_estimate(logp, old).mean(),
        }
        if settings.baseline == "value":
            error = value_loss(forward["value"], batch["returns"], batch["values"], clip=0)
            stats["value_loss"] = error.mean()
        if settings.reference_kl_coef:
            stats["reference_kl"] = kl_estimate(batch["reference_logp"], _whole(logp)).mean()
        return stats | entropies(dist)


def _whole(logp: Tensor) -> Tensor:
    """The log-probability [N] of actions, from that of their rows [N, R] if it has any."""
    return logp.sum(-1) if logp.ndim > 1 else logp


def _baselined(groups: Array, settings: ReinforceSettings) -> Array:
    """Returns [..., G] of episodes from the same start -> advantages [..., G]."""
    if settings.baseline == "leave_one_out":
        return leave_one_out(groups)
    return group_advantages(groups, scale=False)
