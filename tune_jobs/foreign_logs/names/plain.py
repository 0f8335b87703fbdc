"""Plain files, OpenAI's baselines and Spinning Up."""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

_NAMES = {
    "iteration": ("iteration", "iter", "update", "epoch"),
    "env_steps": (
        *("step", "steps", "_step", "global_step", "timestep", "timesteps", "total_timesteps"),
        *("total_steps", "num_timesteps", "frames", "totalenvinteracts", "misc/total_timesteps"),
    ),
    "return_mean": (
        *("return", "returns", "mean_return", "episode_return", "episodic_return", "avg_return"),
        *("average_return", "ep_return", "ep_ret", "averageepret", "reward", "rewards"),
        *("mean_reward", "episode_reward", "episodic_reward", "ep_reward", "ep_rew_mean"),
        *("avg_reward", "average_reward", "eprewmean", "score", "scores"),
    ),
    "episode_length": ("eplen", "ep_len", "ep_len_mean", "eplenmean", "mean_episode_length"),
    "policy_loss": ("pi_loss", "pg_loss", "actor_loss", "losspi", "loss/policy_loss"),
    "value_loss": ("vf_loss", "v_loss", "critic_loss", "lossv", "td_loss", "loss/value_loss"),
    "explained_variance": ("explained_var", "vf_explained_var", "ev", "misc/explained_variance"),
    "entropy": ("policy_entropy", "loss/policy_entropy"),
    "kl": ("approx_kl", "approxkl", "mean_kl", "kl_divergence", "loss/approxkl"),
    "clip_fraction": ("clipfrac", "clip_frac", "loss/clipfrac"),
    "grad_norm": ("gradient_norm", "grad_global_norm"),
    "lr": ("learning_rate",),
    "success_rate": ("success", "is_success", "ep_success", "success_mean"),
}

PLAIN = Library(
    {
        theirs: CatalogueMetric(ours, patchy=True)
        for ours, names in _NAMES.items()
        for theirs in names
    }
    | {"entropy_loss": CatalogueMetric("entropy", times=-1, patchy=True)}
)
