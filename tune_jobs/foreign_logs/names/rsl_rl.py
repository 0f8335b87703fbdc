"""RSL-RL, in TensorBoard: a step is an iteration.

Read from ``utils/logger.py`` and ``algorithms/ppo.py`` of rsl-rl-lib 5.5: returns are means of the
last 100 episodes, value losses squared errors without a half; ``value_function`` is the name of
version 2.
"""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

RSL_RL = Library(
    {
        "train/mean_reward": CatalogueMetric("return_mean_100"),
        "train/mean_episode_length": CatalogueMetric("episode_length"),
        "loss/surrogate": CatalogueMetric("policy_loss"),
        "loss/value": CatalogueMetric("value_loss", times=0.5),
        "loss/value_function": CatalogueMetric("value_loss", times=0.5),
        "loss/entropy": CatalogueMetric("entropy"),
        "loss/learning_rate": CatalogueMetric("lr"),
        "perf/total_fps": CatalogueMetric("env_steps_per_s"),
    },
    step="iteration",
    signs=frozenset({"loss/surrogate", "train/mean_reward"}),
    settings={
        "lr": "learning_rate",
        "entropy_coef": "entropy_coef",
        "clip": "clip_param",
        "epochs": "num_learning_epochs",
        "grad_clip": "max_grad_norm",
        "gamma": "gamma",
        "value_coef": "value_loss_coef",
        "num_envs": "num_envs",
    },
)
