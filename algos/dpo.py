"""Direct preference optimisation (Rafailov et al. 2023) for actions and episodes.

Of several actions tried from one state, or several episodes from one start, the best is preferred
to the worst. That needs no critic, and the scale of the rewards does not matter. Read with
``rollouts/preference_pairs.py`` (how pairs are made) and ``losses/loss_functions.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from algos.actions.array_backend import Array
from algos.actions.head import ActionHead
from algos.algorithm import ColumnAlgorithm
from algos.config import EpisodeSettings
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
from envs.world import World

SIDES = ("chosen", "rejected")
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
    """Source of the pairs: episodes from the same start (`groups`); actions tried from the same
    state in the environment (`candidates`, counted as lookahead) or judged by the world's own
    student (`imagined`, at no cost); or a folder of recorded rollouts."""
    candidates: Annotated[int, Between(2)] = 4
    """Actions tried from each state (K)."""
    beta: Annotated[float, Positive] = 0.1
    """Strength of the pull to the reference: a small beta lets preferences move the policy far."""
    weights: Literal["equal", "gap"] = "equal"
    """Whether pairs count equally, or by the difference of their returns (`gap`)."""
    reference_interval: Annotated[int, NonNegative] = 25
    """Updates between copies of the reference policy; 0 keeps the initial policy."""

    @property
    def collects_groups(self) -> bool:
        """Only where episodes are compared."""
        return self.pairs == "groups"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.collects_groups and self.group_size < 2:
            raise InputError("settings.group_size must be at least 2 to compare episodes.")
        if self.kl_limit and self.pairs not in COLLECTED_SOURCES:
            raise InputError(
                f"settings.kl_limit is {self.kl_limit}, but it would do nothing: recorded pairs "
                "were not drawn by the policy, so its KL is not known. Set it to 0."
            )


class DPOObjective(Objective[DPOSettings]):
    """Preference loss over pairs."""

    variants: ClassVar = {
        "pairs: groups": {},
        "pairs: candidates": {"pairs": "candidates"},
        "pairs: recorded rollouts": {"pairs": "recorded"},
    }

    @property
    def needs(self) -> frozenset[Need]:
        """What the pairs are made of: whole actions, or episodes of them."""
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
        # Of mean 1, so that a learning rate means the same with and without weights.
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
            metrics = {
                "policy_loss": losses.mean(),
                "pair_accuracy": (margin > 0).float().mean(),
                "pair_margin": s.beta * margin.mean(),
                "chosen_gain": gain.mean(),
            }
            # Best and worst of K draws hold an action at most K times as often as the policy draws
            # it, so the mean over both halves is at most K / 2 times the KL. Recorded pairs were
            # drawn by some other policy, not by the one before this update.
            if s.pairs in COLLECTED_SOURCES:
                metrics["kl"] = kl_estimate(step_logp, steps["logp"]).mean()
            return metrics | compute_entropy_metrics(dist)

        return Loss(terms, measure)


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
