"""skrl, in TensorBoard.

Read from ``agents/torch`` of skrl 2.1: losses of values are squared errors without a half (times
``value_loss_scale``, 1 by default). The entropy loss contains its weight, so the entropy is not
known; the returns are those of the episodes since the row before. A step counts
once for all environments, so that it is no number of environment steps.
"""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

SKRL = Library(
    {
        "reward / total reward (mean)": CatalogueMetric("return_mean"),
        "reward / total reward (min)": CatalogueMetric("return_min"),
        "reward / total reward (max)": CatalogueMetric("return_max"),
        "reward / instantaneous reward (mean)": CatalogueMetric("reward_mean"),
        "episode / total timesteps (mean)": CatalogueMetric("episode_length"),
        "loss / policy loss": CatalogueMetric("policy_loss"),
        "loss / value loss": CatalogueMetric("value_loss", times=0.5),
        "loss / critic loss": CatalogueMetric("value_loss", times=0.5),
        "loss / q-network loss": CatalogueMetric("value_loss", times=0.5),
        "coefficient / entropy coefficient": CatalogueMetric("entropy_coef"),
        "exploration / exploration epsilon": CatalogueMetric("exploration_rate"),
        "learning / learning rate": CatalogueMetric("lr"),
        "learning / policy learning rate": CatalogueMetric("lr"),
    },
    step="",
    signs=frozenset(
        {
            *("reward / instantaneous reward (mean)", "reward / total reward (mean)"),
            *("loss / policy loss", "loss / q-network loss"),
        }
    ),
    settings={
        "lr": "learning_rate",
        "entropy_coef": "entropy_loss_scale",
        "clip": "ratio_clip",
        "epochs": "learning_epochs",
        "grad_clip": "grad_norm_clip",
        "gamma": "discount_factor",
        "value_coef": "value_loss_scale",
        "kl_limit": "kl_threshold",
        "num_envs": "num_envs",
    },
)
