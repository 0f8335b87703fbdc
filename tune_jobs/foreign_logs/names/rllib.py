"""RLlib and Ray Tune, new and old API stack; ``*`` is a policy's id."""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

_NEW_STACK = {
    "training_iteration": CatalogueMetric("iteration"),
    "num_env_steps_sampled_lifetime": CatalogueMetric("env_steps"),
    "env_runners/num_env_steps_sampled_lifetime": CatalogueMetric("env_steps"),
    "env_runners/episode_return_mean": CatalogueMetric("return_mean"),
    "env_runners/episode_return_min": CatalogueMetric("return_min"),
    "env_runners/episode_return_max": CatalogueMetric("return_max"),
    "env_runners/num_episodes": CatalogueMetric("episodes"),
    "env_runners/episode_len_mean": CatalogueMetric("episode_length"),
    "learners/*/policy_loss": CatalogueMetric("policy_loss"),
    # Before vf_loss, which is cut off at a limit.
    "learners/*/vf_loss_unclipped": CatalogueMetric("value_loss", times=0.5),
    "learners/*/vf_loss": CatalogueMetric("value_loss", times=0.5),
    "learners/*/qf_loss": CatalogueMetric("value_loss"),
    "learners/*/vf_explained_var": CatalogueMetric("explained_variance"),
    "learners/*/entropy": CatalogueMetric("entropy"),
    "learners/*/mean_kl_loss": CatalogueMetric("kl"),
    "learners/*/curr_kl_coeff": CatalogueMetric("kl_coef"),
    "learners/*/curr_entropy_coeff": CatalogueMetric("entropy_coef"),
    "learners/*/default_optimizer_learning_rate": CatalogueMetric("lr"),
    "config/gamma": CatalogueMetric("gamma"),
    "learners/*/gradients_default_optimizer_global_norm": CatalogueMetric("grad_norm"),
    "time_this_iter_s": CatalogueMetric("iteration_s"),
}

_STATS = "info/learner/*/learner_stats/"
# The old stack averages returns over 100 episodes, and its grad_gnorm is the norm after clipping.
_HIDES = "env_runners/episode_return_mean"
_OLD_STACK = {
    "env_runners/episode_reward_mean": CatalogueMetric("return_mean_100", hides=_HIDES),
    "sampler_results/episode_reward_mean": CatalogueMetric("return_mean_100"),
    "episode_reward_mean": CatalogueMetric("return_mean_100", hides=_HIDES),
    "episodes_this_iter": CatalogueMetric("episodes"),
    "episode_len_mean": CatalogueMetric("episode_length"),
    _STATS + "policy_loss": CatalogueMetric("policy_loss"),
    _STATS + "vf_loss": CatalogueMetric("value_loss", times=0.5),
    _STATS + "vf_explained_var": CatalogueMetric("explained_variance"),
    _STATS + "entropy": CatalogueMetric("entropy"),
    _STATS + "kl": CatalogueMetric("kl"),
    _STATS + "cur_kl_coeff": CatalogueMetric("kl_coef"),
    _STATS + "entropy_coeff": CatalogueMetric("entropy_coef"),
    _STATS + "cur_lr": CatalogueMetric("lr"),
    "num_env_steps_sampled": CatalogueMetric("env_steps"),
    "timesteps_total": CatalogueMetric("env_steps"),
}

RLLIB = Library(
    _NEW_STACK | _OLD_STACK,
    settings={
        "lr": "lr",
        "entropy_coef": "entropy_coeff",
        "clip": "clip_param",
        "epochs": "num_epochs",
        "grad_clip": "grad_clip",
        "gamma": "gamma",
    },
)
