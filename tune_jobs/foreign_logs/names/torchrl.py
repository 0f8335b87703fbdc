"""TorchRL: names of its published training scripts and trainer.

Read from ``sota-implementations`` and ``objectives/ppo.py`` of TorchRL 0.14. Losses contain their
weights, which are 1 for the critic by default; the entropy is logged without its weight.
"""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

TORCHRL = Library(
    {
        "train/reward": CatalogueMetric("return_mean"),
        "train/episode_reward": CatalogueMetric("return_mean"),
        "train/episode_length": CatalogueMetric("episode_length"),
        "train/loss_objective": CatalogueMetric("policy_loss"),
        "train/loss_critic": CatalogueMetric("value_loss", times=0.5),
        "train/entropy": CatalogueMetric("entropy"),
        "train/kl_approx": CatalogueMetric("kl"),
        "train/clip_fraction": CatalogueMetric("clip_fraction"),
        "train/explained_variance": CatalogueMetric("explained_variance"),
        "train/lr": CatalogueMetric("lr"),
    }
)
