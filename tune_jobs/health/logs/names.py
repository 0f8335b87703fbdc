"""Names of the catalogue's metrics in other tools.

Where a log has several names for one metric, the first in this table is used. A name of the
catalogue (with or without Tune's ``metrics/``) needs no entry.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from algos.metrics import METRICS
from envs.validation import unknown_name_error


@dataclasses.dataclass(frozen=True)
class CatalogueMetric:
    """A metric of the catalogue and its conversion from a foreign one."""

    name: str
    times: float = 1.0
    """Factor of the foreign number: -1 where the sign differs."""
    since_start: bool = False
    """The foreign number counts since the start of the run, the catalogue's within an iteration."""
    per_episode: bool = False
    """Logged once per episode; the catalogue's metric is the mean of an iteration."""
    hides: str = ""
    """Another foreign name for the same number that would be taken for something else."""
    patchy: bool = False
    """NaN may stand for an empty cell: only one that stays until the end is believed."""


RLLIB = {
    "training_iteration": CatalogueMetric("iteration"),
    "num_env_steps_sampled_lifetime": CatalogueMetric("env_steps"),
    "env_runners/num_env_steps_sampled_lifetime": CatalogueMetric("env_steps"),
    "env_runners/episode_return_mean": CatalogueMetric("return_mean"),
    "env_runners/episode_return_min": CatalogueMetric("return_min"),
    "env_runners/episode_return_max": CatalogueMetric("return_max"),
    "env_runners/num_episodes": CatalogueMetric("episodes"),
    "env_runners/episode_len_mean": CatalogueMetric("episode_length"),
    "learners/*/policy_loss": CatalogueMetric("policy_loss"),
    "learners/*/vf_loss_unclipped": CatalogueMetric(
        "value_loss", times=0.5
    ),  # vf_loss is cut off at a limit
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
"""The new API stack of RLlib, and Tune; ``*`` is a policy's id."""

_STATS = "info/learner/*/learner_stats/"
# The old stack averages returns over 100 episodes, and its grad_gnorm is the norm after clipping.
_HIDES = "env_runners/episode_return_mean"
RLLIB_OLD = {
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
"""The old API stack of RLlib."""

SB3 = {
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
    "train/loss": CatalogueMetric("value_loss"),  # DQN's; PPO has a value_loss and this is the sum
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
}
"""Stable-Baselines3, in progress.csv and in TensorBoard."""

CLEANRL = {
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
}
"""CleanRL, in TensorBoard."""

_PLAIN = {
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
"""Plain files, OpenAI's baselines and Spinning Up."""

KNOWN: dict[str, CatalogueMetric] = (
    RLLIB
    | RLLIB_OLD
    | SB3
    | CLEANRL
    | {
        theirs: CatalogueMetric(ours, patchy=True)
        for ours, names in _PLAIN.items()
        for theirs in names
    }
    | {"entropy_loss": CatalogueMetric("entropy", times=-1, patchy=True)}
)

_RANK = {name: rank for rank, name in enumerate(KNOWN)}
_POLICY = re.compile(r"^(learners|info/learner)/([^/]+)/")


def match_metrics(names: Iterable[str], rename: Mapping[str, str]) -> dict[str, CatalogueMetric]:
    """Return the foreign name of each metric found, at most one per metric."""
    candidates: list[tuple[int, int, str, CatalogueMetric]] = []
    for place, name in enumerate(names):
        found = _look_up_name(name, rename)
        if found is not None:
            candidates.append((found[0], place, name, found[1]))
    candidates.sort(key=lambda candidate: candidate[:2])
    hidden = {ours.hides for *_, ours in candidates}
    taken: dict[str, tuple[str, CatalogueMetric]] = {}
    for _, _, name, ours in candidates:
        if strip_tune_prefix(name) not in hidden:
            taken.setdefault(ours.name, (name, ours))
    return dict(taken.values())


def check_rename(rename: Mapping[str, str]) -> None:
    """Check that a renaming names only metrics of the catalogue.

    Raises:
        InputError: naming the metric with the nearest known ones.
    """
    for name in rename.values():
        if name not in METRICS and name != "iteration":
            raise unknown_name_error("metric", name, METRICS, "in our catalogue")


def strip_tune_prefix(name: str) -> str:
    """Return the name without the prefix of Tune's TensorBoard files."""
    return name.removeprefix("ray/tune/")


def _look_up_name(name: str, rename: Mapping[str, str]) -> tuple[int, CatalogueMetric] | None:
    """Return the metric of a foreign name with its rank: the smallest is used."""
    short = strip_tune_prefix(name)
    for given in (name, short):
        if given in rename:
            return -2, CatalogueMetric(rename[given], patchy=True)
    own = short.removeprefix("metrics/")
    if own in METRICS:
        return -1, CatalogueMetric(own, patchy=own == short)
    policy = _POLICY.match(short)
    general = _POLICY.sub(r"\1/*/", short).casefold()
    if general not in KNOWN:
        return None
    others = 0 if policy is None or policy[2] == "default_policy" else len(KNOWN)
    return _RANK[general] + others, KNOWN[general]
