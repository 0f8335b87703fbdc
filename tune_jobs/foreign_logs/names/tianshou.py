"""Tianshou, in TensorBoard: losses are logged by the number of updates.

Read from ``algorithm/modelfree`` and ``utils/logger`` of Tianshou 2.0: value losses are squared
errors without a half, ``ent_loss`` is the entropy itself; the scope was ``train`` before 2.0.
Episode lengths (``lens_stat``) are left out: with on-policy algorithms they are too short, half of
the return of CartPole, which pays 1 for a step.
"""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

_TRAINING = {
    "returns_stat/mean": CatalogueMetric("return_mean"),
    "returns_stat/std": CatalogueMetric("return_std"),
    "returns_stat/min": CatalogueMetric("return_min"),
    "returns_stat/max": CatalogueMetric("return_max"),
    "n_collected_episodes": CatalogueMetric("episodes"),
    "env_step": CatalogueMetric("env_steps"),
}

TIANSHOU = Library(
    {f"{scope}/{name}": ours for name, ours in _TRAINING.items() for scope in ("training", "train")}
    | {
        "update/actor_loss/mean": CatalogueMetric("policy_loss"),
        "update/clip_loss/mean": CatalogueMetric("policy_loss"),
        "update/vf_loss/mean": CatalogueMetric("value_loss", times=0.5),
        "update/ent_loss/mean": CatalogueMetric("entropy"),
    },
    signs=frozenset({"training/env_step", "train/env_step"}),
    by_update="update/",
)
