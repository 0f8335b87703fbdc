"""A*-PO: policy optimisation by regression on optimal advantages (Brantley et al. 2025).

Stage 1, before training: V*, what the best policy near the reference can reach from each start, is
estimated from a few episodes of the reference policy. Stage 2, training: one episode from a start
at a time, no critic and no groups; ``beta log(policy / reference)`` is regressed on the return
minus V*. ``loss="clipped_pg"`` is the variant of the shopping post-mortem instead. Read with
``rollouts/advantages.py`` (V*) and ``losses/loss_functions.py``.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from algos.algorithm import ColumnAlgorithm
from algos.losses import (
    astar_regression,
    compute_entropy_metrics,
    compute_exploration_terms,
    kl_estimate,
)
from algos.objective import Loss, Need, Objective
from algos.rollouts.advantages import estimate_v_star, normalise
from algos.rollouts.columns import Columns, Ragged
from algos.rollouts.group_sampler import TRAINING_SEED
from algos.rollouts.rollout import Rollout
from algos.rollouts.v_star import UNKNOWN, VStarTable, make_batch, store_batch
from algos.settings.astar_po import AStarPOSettings

Array = np.ndarray[Any, Any]

ADVANTAGE_LIMIT = 5.0
"""The post-mortem's limit of a normalised advantage."""


class AStarPOObjective(Objective[AStarPOSettings]):
    """Stage 2: regression on the return minus V*."""

    @property
    def needs(self) -> frozenset[Need]:
        """Repeatable starts, and actions that have one log-probability to regress."""
        return frozenset({"starts", "whole"})

    def compute_advantages(self, rollout: Rollout) -> Columns:
        """Return a row for each episode; the driver adds the V* of its start."""
        returns = rollout.returns(self.settings.gamma).astype(np.float32)
        unknown = np.full(len(returns), UNKNOWN, np.int8)
        return rollout.to_episodes(
            returns=returns,
            starts=rollout.columns["start"][0],
            success=unknown if rollout.success is None else rollout.success.astype(np.int8),
        )

    def preprocess_batch(self, rows: Columns) -> tuple[Columns, dict[str, float]]:
        """Compute the advantages: returns minus V*."""
        advantages: Array = rows["returns"] - rows["v_star"]
        metrics = {
            "advantage_mean": float(advantages.mean()),
            "advantage_std": float(advantages.std()),
            "advantage_negative_fraction": float((advantages < 0).mean()),
        }
        if self.settings.loss == "clipped_pg":
            advantages = normalise(advantages)
            metrics["advantage_clip_fraction"] = float(
                (np.abs(advantages) > ADVANTAGE_LIMIT).mean()
            )
            advantages = advantages.clip(-ADVANTAGE_LIMIT, ADVANTAGE_LIMIT)
        return rows.with_columns(advantages=advantages), metrics

    @property
    def reference_interval(self) -> int | None:
        """Keep the initial policy, whose V* it is."""
        return 0

    def build_network_inputs(self, batch: Columns) -> Mapping[str, Any]:
        """Return the steps of all episodes."""
        return {n: column.values for n, column in batch.items() if isinstance(column, Ragged)}

    def compute_reference_columns(
        self, forward: Mapping[str, Any], batch: Columns
    ) -> dict[str, Tensor]:
        """Return the reference's log-probabilities [N] of whole episodes."""
        step_logp = forward["dist"].logp(self.build_network_inputs(batch))
        return {"reference_logp": batch["logp"].sum_by_row(step_logp)}

    def loss(
        self, forward: Mapping[str, Any], batch: Columns, coefficients: Mapping[str, float]
    ) -> Loss:
        """Return regression or policy gradient, and the exploration bonuses."""
        s, dist, collected = self.settings, forward["dist"], batch["logp"]
        # First one for each step, then their sum over each episode [N].
        step_logp = dist.logp(self.build_network_inputs(batch))
        logp, reference_logp = collected.sum_by_row(step_logp), batch["reference_logp"]
        if s.loss == "clipped_pg":
            policy = -s.beta * logp * batch["advantages"]
        else:
            regression = astar_regression(logp, reference_logp, batch["advantages"], s.beta)
            # Divided by 2 beta the gradient is a policy gradient's, -A grad log p, plus the pull of
            # the KL: learning rates and entropy weights then mean the same for every beta.
            policy = regression / (2 * s.beta)
        terms = {"policy": policy}
        terms |= compute_exploration_terms(
            dist, coefficients["entropy_coef"], s.diversity_coef, scalar=True
        )

        def measure() -> dict[str, Tensor]:
            return {
                "policy_loss": policy.mean(),
                "reference_kl": (logp - reference_logp).sum() / len(collected.values),
            } | compute_entropy_metrics(dist)

        return Loss(terms, measure, kl=lambda: kl_estimate(step_logp, collected.values).mean())


class AStarPO(ColumnAlgorithm):
    """The training loop with stage 1 before it: V* of every start, part of every checkpoint."""

    settings_class = AStarPOSettings
    objective_class = AStarPOObjective

    def setup(self, config: object) -> None:
        """RLlib's hook."""
        self.v_star = VStarTable()
        self.v_star_folder: Path | None = None
        super().setup(config)

    def prepare(self, seconds: float = math.inf) -> bool:
        """Warm-start the policy, then estimate V* of further starts, at least a batch of them.

        Args:
            seconds: the time after which no further batch starts.

        Returns:
            Whether V* of every start is known; if not, the next call continues.
        """
        super().prepare()
        # Later V* is a part of the state: a restored training has it from its checkpoint.
        if self.iteration:
            return True
        s, began = self.settings, time.monotonic()
        if s.v_star_cache and self.v_star_folder is None:
            self.v_star_folder = Path(s.v_star_cache) / self._compute_cache_key()
            self.v_star.load(self.v_star_folder)
        while missing := self.v_star.list_missing(s.starts):
            self._estimate_batch(missing)
            if time.monotonic() - began >= seconds:
                break
        self.preparation_metrics |= self.v_star.summarise(s.starts)
        return not self.v_star.list_missing(s.starts)

    def _estimate_batch(self, missing: list[int]) -> None:
        """Estimate V* of as many of the missing starts as the runners have groups for.

        A short last batch wraps around and repeats starts, which then keep their latest estimate.
        """
        began, k = time.monotonic(), self.settings.reference_samples
        starts = TRAINING_SEED + np.array(missing)
        rows, metrics = self.collect_rows(starts=starts, group_size=k)
        self.env_steps += metrics["steps"]
        returns = rows["returns"].reshape(-1, k)
        success = rows["success"].reshape(-1, k)
        # Rows are in the order of the copies: every k-th one is the first of a group of k.
        ids = rows["starts"][::k] - TRAINING_SEED
        batch = make_batch(ids, returns, self._estimate_v_star(returns), success)
        self.v_star.add(batch)
        if self.v_star_folder:
            store_batch(batch, self.v_star_folder, self.config.env)
        self.v_star.record_time(len(set(ids.tolist())), time.monotonic() - began)

    def _estimate_v_star(self, returns: Array) -> Array:
        """Return V* [S] from returns [S, k]."""
        return estimate_v_star(returns, self.settings.v_star, self.settings.v_star_beta)

    def _compute_cache_key(self) -> str:
        """Hash what V* depends on: reference weights, environment and how it is estimated."""
        s, digest = self.settings, hashlib.sha256()
        assert self.learner_group is not None  # noqa: S101
        for name, weight in sorted(self.learner_group.get_weights()["default_policy"].items()):
            digest.update(name.encode() + np.ascontiguousarray(weight).tobytes())
        # The number of starts is no part of it: a trial with more of them extends the same
        # table.
        about = [self.config.env, dict(self.config.env_config), s.gamma, s.rollout_length]
        about += [s.v_star, s.v_star_beta, s.reference_samples, s.model, s.model_config]
        digest.update(json.dumps(about, sort_keys=True, default=str).encode())
        return digest.hexdigest()[:16]

    def get_state(self, *args: object, **kwargs: object) -> dict[str, Any]:
        """Return RLlib's state, our counters and V*."""
        return super().get_state(*args, **kwargs) | {"v_star": self.v_star.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state."""
        super().set_state(state)
        if "v_star" in state:
            self.v_star.set_state(state["v_star"])

    def collect_rows(self, **sample_kwargs: object) -> tuple[Columns, dict[str, Any]]:
        """Collect episodes, with the V* of their starts where it is known."""
        rows, metrics = super().collect_rows(**sample_kwargs)
        # NaN and not 0: stage 1 does not read it, and in stage 2 a missing V* must not pass
        # for a value.
        values = [
            self.v_star.values.get(start - TRAINING_SEED, np.nan)
            for start in rows["starts"].tolist()
        ]
        return rows.with_columns(v_star=np.array(values, np.float32)), metrics
