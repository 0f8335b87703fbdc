"""rl_games, in TensorBoard.

Read from ``common/a2c_common.py`` of rl_games 1.6: returns are means of the last 100 episodes
(``games_to_track``), critic losses squared errors without a half. The same numbers are logged once
more by iteration and by second, as ``rewards/iter`` and ``rewards/time``.
"""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

RL_GAMES = Library(
    {
        "rewards/step": CatalogueMetric("return_mean_100"),
        "episode_lengths/step": CatalogueMetric("episode_length"),
        "losses/a_loss": CatalogueMetric("policy_loss"),
        "losses/c_loss": CatalogueMetric("value_loss", times=0.5),
        "losses/c1_loss": CatalogueMetric("value_loss", times=0.5),
        "info/kl": CatalogueMetric("kl"),
        "info/last_lr": CatalogueMetric("lr"),
        "info/alpha": CatalogueMetric("entropy_coef"),
        "performance/step_inference_rl_update_fps": CatalogueMetric("env_steps_per_s"),
    },
    settings={
        "lr": "learning_rate",
        "entropy_coef": "entropy_coef",
        "clip": "e_clip",
        "epochs": "mini_epochs",
        "grad_clip": "grad_norm",
        "gamma": "gamma",
        "num_envs": "num_actors",
    },
)
