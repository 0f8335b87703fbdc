"""Direct preference optimisation (Rafailov et al. 2023) for actions and episodes.

Of several actions tried from one state, or several episodes from one start, the best is preferred
to the worst: that needs no critic, and no scale of the reward. Read with ``pairs.py`` (where pairs
come from) and ``losses.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from algos.actions.action_heads import ActionHead
from algos.algorithm import ColumnAlgorithm
from algos.config import EpisodeSettings
from algos.exploration import compute_entropy_metrics
from algos.losses import dpo_loss
from algos.requirements import Need
from algos.rllib_config import ColumnConfig
from algos.rollouts.columns import Columns
from algos.rollouts.preference_pairs import (
    IMAGINED,
    CandidateRunner,
    check_reward_prediction,
    concat_pair_steps,
    load_recorded_pairs,
    make_candidate_pairs,
    make_episode_pairs,
)
from algos.rollouts.rollout import Rollout
from envs.validation import AtLeastOne, Between, Fraction, InputError, NonNegative, Positive

CANDIDATE_SOURCES = ("candidates", IMAGINED)
COLLECTED_SOURCES = ("groups", *CANDIDATE_SOURCES)


@dataclass(frozen=True)
class DPOSettings(EpisodeSettings):
    """Settings of DPO."""

    gamma: Annotated[float, Fraction] = 1.0
    """Discount of the next step's reward, where episodes are compared."""
    entropy_coef: Annotated[float, NonNegative] = 0.0
    """Weight of the entropy bonus at the start of training."""
    minibatch_size: Annotated[int, AtLeastOne] = 64
    """Pairs of one optimiser step."""
    pairs: str = "groups"
    """Episodes from the same start (`groups`); actions tried from the same state, in the
    environment (`candidates`: what trials cost is counted as lookahead) or in the mind of the
    student inside of it (`imagined`, which costs nothing); or a folder of recorded rollouts."""
    candidates: Annotated[int, Between(2)] = 4
    """Actions tried from each state (K)."""
    execute: Literal["sampled", "best"] = "sampled"
    """Which candidate is done: the policy's own first, or the one that was judged best."""
    beta: Annotated[float, Positive] = 0.1
    """How far a preference may pull the policy from the reference; small pulls far."""
    weights: Literal["equal", "gap"] = "equal"
    """Whether pairs count alike, or by how much better the better one was."""
    reference_interval: Annotated[int, NonNegative] = 25
    """Updates after which the reference is taken anew; 0: it stays that of the beginning."""

    @property
    def collects_groups(self) -> bool:
        """Only where episodes are compared."""
        return self.pairs == "groups"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.collects_groups and self.group_size < 2:
            raise InputError("DPOSettings.group_size must be at least 2 to compare episodes.")


class DPO(ColumnAlgorithm):
    """Learning from what was better."""

    settings_class = DPOSettings
    variants: ClassVar = {
        "pairs: groups": {},
        "pairs: candidates": {"pairs": "candidates"},
        "pairs: recorded rollouts": {"pairs": "recorded"},
    }

    @classmethod
    def get_default_config(cls) -> ColumnConfig:
        """With a runner that can try candidates."""
        config = super().get_default_config()
        config.env_runners(env_runner_cls=CandidateRunner)
        return config

    @staticmethod
    def get_environment_needs(settings: DPOSettings) -> frozenset[Need]:
        """What the pairs are made of: whole actions, or episodes of them."""
        if settings.pairs in CANDIDATE_SOURCES:
            return frozenset({"candidates", "whole"})
        return frozenset({"starts", "whole"} if settings.pairs == "groups" else {"whole"})

    @staticmethod
    def validate_action_space(settings: DPOSettings, head: ActionHead) -> None:
        """Recorded pairs must be there."""
        if settings.pairs not in COLLECTED_SOURCES:
            load_recorded_pairs(settings.pairs)

    @staticmethod
    def validate_world(settings: DPOSettings, world: Any, env_id: str) -> None:
        """A judge that cannot judge is refused before any runner is made."""
        if settings.pairs == IMAGINED:
            check_reward_prediction(world, env_id)

    @staticmethod
    def get_reference_interval(settings: DPOSettings) -> int | None:
        """Always a reference."""
        return settings.reference_interval

    @staticmethod
    def compute_advantages(rollout: Rollout, settings: DPOSettings) -> Columns:
        """Pairs; with recorded ones, steps that only tell how good the policy is by now."""
        if settings.pairs in CANDIDATE_SOURCES:
            return make_candidate_pairs(rollout.to_rows())
        if settings.pairs == "groups":
            starts = rollout.columns["start"][0]
            return make_episode_pairs(
                rollout.to_episodes(), rollout.returns(settings.gamma), starts
            )
        return rollout.to_rows()

    @staticmethod
    def preprocess_batch(rows: Columns, settings: DPOSettings) -> tuple[Columns, dict[str, float]]:
        """Weigh the pairs."""
        if settings.pairs not in COLLECTED_SOURCES:
            rows = load_recorded_pairs(settings.pairs)
        gap = np.asarray(rows["gap"], np.float32)
        weight = gap / gap.mean() if settings.weights == "gap" and len(gap) else np.ones_like(gap)
        metrics = {"pairs": float(len(gap)), "pair_gap": float(gap.mean()) if len(gap) else 0.0}
        return rows.with_columns(weight=weight), metrics

    @staticmethod
    def build_network_inputs(batch: Columns) -> Mapping[str, Any]:
        """The network sees the steps of both halves."""
        return concat_pair_steps(batch)

    @staticmethod
    def compute_reference_columns(forward: Mapping[str, Any], batch: Columns) -> dict[str, Tensor]:
        """The reference's log-probabilities [N] of both halves."""
        chosen, rejected = _compute_pair_logps(forward, batch)
        return {"reference_chosen": chosen, "reference_rejected": rejected}

    @staticmethod
    def compute_loss_terms(
        forward: Mapping[str, Any],
        batch: Columns,
        settings: DPOSettings,
        coefficients: Mapping[str, float],
    ) -> dict[str, Tensor]:
        """Weighted preference loss and entropy bonus."""
        terms = {"policy": batch["weight"] * _compute_pair_losses(forward, batch, settings)}
        if weight := coefficients["entropy_coef"]:
            terms["entropy"] = -weight * forward["dist"].entropy().mean()
        return terms

    @staticmethod
    def compute_metrics(
        forward: Mapping[str, Any], batch: Columns, settings: DPOSettings
    ) -> dict[str, Tensor]:
        """What the update did to the policy."""
        chosen, rejected = _compute_pair_logps(forward, batch)
        gain = chosen - batch["reference_chosen"]
        margin = gain - (rejected - batch["reference_rejected"])
        return {
            "policy_loss": _compute_pair_losses(forward, batch, settings).mean(),
            "pair_accuracy": (margin > 0).float().mean(),
            "pair_margin": settings.beta * margin.mean(),
            "chosen_gain": gain.mean(),
        } | compute_entropy_metrics(forward["dist"])


def _compute_pair_logps(forward: Mapping[str, Any], batch: Columns) -> tuple[Tensor, Tensor]:
    """Log-probabilities [N] of the better and the worse half of each pair."""
    chosen, rejected = (next(batch[n] for n in batch if n.startswith(f"{side}.")) for side in SIDES)
    each = forward["dist"].logp(concat_pair_steps(batch))
    split = len(chosen.values)
    return chosen.sum_by_row(each[:split]), rejected.sum_by_row(each[split:])


SIDES = ("chosen", "rejected")


def _compute_pair_losses(
    forward: Mapping[str, Any], batch: Columns, settings: DPOSettings
) -> Tensor:
    chosen, rejected = _compute_pair_logps(forward, batch)
    references = batch["reference_chosen"], batch["reference_rejected"]
    return dpo_loss(chosen, rejected, *references, settings.beta)
