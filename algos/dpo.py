"""Direct preference optimisation (Rafailov et al. 2023) for actions and episodes.

Of several actions tried from one state, or several episodes from one start, the best is preferred
to the worst. That needs no critic, and the scale of the rewards does not matter. Read with
``rollouts/preference_pairs.py`` (how pairs are made) and ``losses/loss_functions.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from algos.actions.array_backend import Array
from algos.actions.head import ActionHead
from algos.algorithm import ColumnAlgorithm
from algos.losses import (
    compute_entropy_metrics,
    compute_exploration_terms,
    dpo_loss,
    kl_estimate,
)
from algos.objective import Loss, Need, Objective
from algos.rllib.column_config import ColumnConfig
from algos.rollouts.columns import Columns, Ragged
from algos.rollouts.preference_pairs import (
    CandidateRunner,
    check_reward_prediction,
    concat_pair_steps,
    load_recorded_pairs,
    make_candidate_pairs,
    make_episode_pairs,
)
from algos.rollouts.rollout import Rollout
from algos.settings.dpo import CANDIDATE_SOURCES, COLLECTED_SOURCES, IMAGINED, DPOSettings
from envs.contract.world import World

SIDES = ("chosen", "rejected")


class DPOObjective(Objective[DPOSettings]):
    """Preference loss over pairs."""

    variants: ClassVar = {
        "pairs: groups": {},
        "pairs: candidates": {"pairs": "candidates"},
        "pairs: recorded rollouts": {"pairs": "recorded"},
    }

    @property
    def needs(self) -> frozenset[Need]:
        """Return the needs of the pairs: whole actions, or episodes of them."""
        if self.settings.pairs in CANDIDATE_SOURCES:
            return frozenset({"candidates", "whole"})
        return frozenset({"starts", "whole"} if self.settings.pairs == "groups" else {"whole"})

    def validate_action_space(self, head: ActionHead) -> None:
        """Refuse recorded pairs that cannot be read, and exploration without effect."""
        super().validate_action_space(head)
        if self.settings.pairs not in COLLECTED_SOURCES:
            load_recorded_pairs(self.settings.pairs, self.settings.gamma)

    def validate_world(self, world: World[Any] | None, env_id: str) -> None:
        """Refuse imagined pairs in a world that cannot predict rewards."""
        if self.settings.pairs == IMAGINED:
            check_reward_prediction(world, env_id)

    def compute_advantages(self, rollout: Rollout) -> Columns:
        """Return pairs; with recorded pairs, steps that only measure the policy's progress."""
        s = self.settings
        if s.pairs in CANDIDATE_SOURCES:
            return make_candidate_pairs(rollout.to_rows())
        if s.pairs == "groups":
            starts = rollout.columns["start"][0]
            return make_episode_pairs(rollout.to_episodes(), rollout.returns(s.gamma), starts)
        return rollout.to_rows()

    def preprocess_batch(self, rows: Columns) -> tuple[Columns, dict[str, float]]:
        """Weigh the pairs."""
        s = self.settings
        if s.pairs not in COLLECTED_SOURCES:
            rows = load_recorded_pairs(s.pairs, s.gamma)
        gap = np.asarray(rows["gap"], np.float32)
        # Their mean is 1, so that a learning rate means the same with and without weights.
        weight = gap / gap.mean() if s.weights == "gap" and len(gap) else np.ones_like(gap)
        metrics = {"pairs": float(len(gap)), "pair_gap": float(gap.mean()) if len(gap) else 0.0}
        return rows.with_columns(weight=weight), metrics

    @property
    def reference_interval(self) -> int | None:
        """Always keep a reference."""
        return self.settings.reference_interval

    def build_network_inputs(self, batch: Columns) -> Mapping[str, Any]:
        """Return the steps of both halves of all pairs."""
        return concat_pair_steps(batch)

    def compute_reference_columns(
        self, forward: Mapping[str, Any], batch: Columns
    ) -> dict[str, Tensor]:
        """Return the reference's log-probabilities [N] of both halves."""
        chosen, rejected = _sum_by_half(forward["dist"].logp(concat_pair_steps(batch)), batch)
        return {"reference_chosen": chosen, "reference_rejected": rejected}

    def loss(
        self, forward: Mapping[str, Any], batch: Columns, coefficients: Mapping[str, float]
    ) -> Loss:
        """Return the weighted preference loss and the exploration bonuses."""
        s, dist = self.settings, forward["dist"]
        steps = self.build_network_inputs(batch)
        step_logp = dist.logp(steps)
        chosen, rejected = _sum_by_half(step_logp, batch)
        references = batch["reference_chosen"], batch["reference_rejected"]
        losses = dpo_loss(chosen, rejected, *references, s.beta)
        terms = {"policy": batch["weight"] * losses}
        terms |= compute_exploration_terms(
            dist, coefficients["entropy_coef"], s.diversity_coef, scalar=True
        )

        def measure() -> dict[str, Tensor]:
            gain = chosen - batch["reference_chosen"]
            margin = gain - (rejected - batch["reference_rejected"])
            return {
                "policy_loss": losses.mean(),
                "pair_accuracy": (margin > 0).float().mean(),
                "pair_margin": s.beta * margin.mean(),
                "chosen_gain": gain.mean(),
            } | compute_entropy_metrics(dist)

        def kl() -> Tensor:
            return kl_estimate(step_logp, steps["logp"]).mean()

        # Best and worst of K draws hold an action at most K times as often as the policy draws it,
        # so the mean over both halves is at most K / 2 times the KL. Recorded pairs were drawn by
        # some other policy, not by the one before this update.
        return Loss(terms, measure, kl if s.pairs in COLLECTED_SOURCES else None)


def _select_halves(batch: Columns) -> tuple[Ragged, Ragged]:
    """Return a column of the better and of the worse half of each pair [N]."""
    # Every column of a half has the same offsets.
    chosen, rejected = (next(batch[n] for n in batch if n.startswith(f"{side}.")) for side in SIDES)
    return chosen, rejected


def _sum_by_half(step_logp: Array, batch: Columns) -> tuple[Array, Array]:
    """Return the log-probabilities [N] of the better and the worse half of each pair.

    Args:
        step_logp: of the steps of all better halves and then of all worse ones.
        batch: the pairs [N].
    """
    chosen, rejected = _select_halves(batch)
    split = len(chosen.values)
    return chosen.sum_by_row(step_logp[:split]), rejected.sum_by_row(step_logp[split:])


class DPO(ColumnAlgorithm):
    """The training loop with DPO's objective, and a runner that can try candidates."""

    settings_class = DPOSettings
    objective_class = DPOObjective

    @classmethod
    def get_default_config(cls) -> ColumnConfig:
        """Return a configuration with the candidate runner."""
        config = super().get_default_config()
        config.env_runners(env_runner_cls=CandidateRunner)
        return config
