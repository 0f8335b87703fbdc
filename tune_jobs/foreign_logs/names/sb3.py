"""Stable-Baselines3, in progress.csv and in TensorBoard."""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

SB3 = Library(
    {
        "time/total_timesteps": CatalogueMetric("env_steps"),
        "time/iterations": CatalogueMetric("iteration"),
        "time/episodes": CatalogueMetric("episodes", since_start=True),
        "time/fps": CatalogueMetric("env_steps_per_s"),
        "rollout/ep_rew_mean": CatalogueMetric("return_mean_100", hides="eval/mean_reward"),
        "rollout/ep_len_mean": CatalogueMetric("episode_length"),
        "rollout/success_rate": CatalogueMetric("success_rate"),
        "train/policy_gradient_loss": CatalogueMetric("policy_loss"),
        "train/policy_loss": CatalogueMetric("policy_loss"),
        "train/actor_loss": CatalogueMetric("policy_loss"),
        "train/value_loss": CatalogueMetric("value_loss", times=0.5),
        "train/critic_loss": CatalogueMetric("value_loss"),
        "train/loss": CatalogueMetric(
            "value_loss"
        ),  # DQN's; PPO has a value_loss and this is the sum
        "train/explained_variance": CatalogueMetric("explained_variance"),
        "train/entropy_loss": CatalogueMetric("entropy", times=-1),
        "train/ent_coef": CatalogueMetric("entropy_coef"),
        "train/approx_kl": CatalogueMetric("kl"),
        "train/clip_fraction": CatalogueMetric("clip_fraction"),
        "train/learning_rate": CatalogueMetric("lr"),
        "train/n_updates": CatalogueMetric("updates", since_start=True),  # PPO counts its epochs
        "rollout/exploration_rate": CatalogueMetric("exploration_rate"),
        "eval/mean_reward": CatalogueMetric("return_mean"),
        "eval/mean_ep_length": CatalogueMetric("episode_length"),
    },
    settings={
        "lr": "learning_rate",
        "entropy_coef": "ent_coef",
        "clip": "clip_range",
        "epochs": "n_epochs",
        "grad_clip": "max_grad_norm",
        "gamma": "gamma",
        "value_coef": "vf_coef",
        "kl_limit": "target_kl",
        "num_envs": "n_envs",
    },
)
