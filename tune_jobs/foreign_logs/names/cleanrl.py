"""CleanRL, in TensorBoard."""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

CLEANRL = Library(
    {
        "charts/episodic_return": CatalogueMetric("return_mean", per_episode=True),
        "charts/episodic_length": CatalogueMetric("episode_length", per_episode=True),
        "charts/learning_rate": CatalogueMetric("lr"),
        "charts/sps": CatalogueMetric("env_steps_per_s"),
        "losses/policy_loss": CatalogueMetric("policy_loss"),
        "losses/actor_loss": CatalogueMetric("policy_loss"),
        "losses/value_loss": CatalogueMetric("value_loss"),
        "losses/td_loss": CatalogueMetric("value_loss"),
        "losses/qf_loss": CatalogueMetric("value_loss"),
        "losses/entropy": CatalogueMetric("entropy"),
        "losses/alpha": CatalogueMetric("entropy_coef"),
        "losses/approx_kl": CatalogueMetric("kl"),
        "losses/clipfrac": CatalogueMetric("clip_fraction"),
        "losses/explained_variance": CatalogueMetric("explained_variance"),
    },
    settings={
        "lr": "--learning-rate",
        "entropy_coef": "--ent-coef",
        "clip": "--clip-coef",
        "epochs": "--update-epochs",
        "grad_clip": "--max-grad-norm",
        "gamma": "--gamma",
        "value_coef": "--vf-coef",
        "kl_limit": "--target-kl",
        "num_envs": "--num-envs",
    },
)
