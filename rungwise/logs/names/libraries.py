"""Names of the catalogue's metrics and settings in other libraries: one table for each.

Losses and returns were compared with the libraries' sources: names whose number means something
else (a KL to the reference, an entropy times its weight) are left out.
"""

from __future__ import annotations

from rungwise.logs.names.catalogue_metric import CatalogueMetric, Library
from rungwise.logs.names.common_names import PLAIN
from rungwise.metrics import METRICS, find_group

SQUARED_ERROR = CatalogueMetric("value_loss", times=0.5)
"""The value loss of libraries that log squared errors without a half."""


def _pair(settings: str) -> dict[str, str]:
    """Return our name to theirs from words ``ours=theirs``."""
    return dict(pair.split("=") for pair in settings.split())


_STATS = "info/learner/*/learner_stats/"
# RLlib, new API stack and old, and Ray Tune; ``*`` is a policy's id. The old stack averages returns
# over 100 episodes, and its grad_gnorm is the norm after clipping.
RLLIB = Library(
    {
        "iteration": "training_iteration",
        "env_steps": (
            *("num_env_steps_sampled_lifetime", "env_runners/num_env_steps_sampled_lifetime"),
            *("num_env_steps_sampled", "timesteps_total"),
        ),
        "return_mean": "env_runners/episode_return_mean",
        "return_min": "env_runners/episode_return_min",
        "return_max": "env_runners/episode_return_max",
        CatalogueMetric("return_mean_100", hides="env_runners/episode_return_mean"): (
            *("env_runners/episode_reward_mean", "sampler_results/episode_reward_mean"),
            "episode_reward_mean",
        ),
        "episodes": (
            *("env_runners/num_episodes", "env_runners/episodes_this_iter"),
            *("sampler_results/episodes_this_iter", "episodes_this_iter"),
        ),
        CatalogueMetric("episodes", since_start=True): (
            *("env_runners/num_episodes_lifetime", "num_episodes_lifetime"),
            *("sampler_results/episodes_total", "episodes_total"),
        ),
        "episode_length": ("env_runners/episode_len_mean", "episode_len_mean"),
        "policy_loss": ("learners/*/policy_loss", _STATS + "policy_loss"),
        # Its vf_loss is cut off at a limit.
        SQUARED_ERROR: ("learners/*/vf_loss_unclipped", "learners/*/vf_loss", _STATS + "vf_loss"),
        "value_loss": "learners/*/qf_loss",
        "explained_variance": ("learners/*/vf_explained_var", _STATS + "vf_explained_var"),
        "entropy": ("learners/*/entropy", _STATS + "entropy"),
        "kl": ("learners/*/mean_kl_loss", _STATS + "kl"),
        "kl_coef": ("learners/*/curr_kl_coeff", _STATS + "cur_kl_coeff"),
        "entropy_coef": ("learners/*/curr_entropy_coeff", _STATS + "entropy_coeff"),
        "lr": ("learners/*/default_optimizer_learning_rate", _STATS + "cur_lr"),
        "gamma": "config/gamma",
        "grad_norm": "learners/*/gradients_default_optimizer_global_norm",
        "iteration_s": "time_this_iter_s",
    },
    settings=_pair(
        "lr=lr entropy_coef=entropy_coeff clip=clip_param epochs=num_epochs grad_clip=grad_clip "
        "gamma=gamma"
    ),
)

SB3 = Library(
    {
        "env_steps": "time/total_timesteps",
        "iteration": "time/iterations",
        CatalogueMetric("episodes", since_start=True): "time/episodes",
        "env_steps_per_s": "time/fps",
        CatalogueMetric("return_mean_100", hides="eval/mean_reward"): "rollout/ep_rew_mean",
        "episode_length": ("rollout/ep_len_mean", "eval/mean_ep_length"),
        "success_rate": "rollout/success_rate",
        "policy_loss": ("train/policy_gradient_loss", "train/policy_loss", "train/actor_loss"),
        SQUARED_ERROR: "train/value_loss",
        # DQN's train/loss; PPO has a value_loss, and there it is the sum.
        "value_loss": ("train/critic_loss", "train/loss"),
        "explained_variance": "train/explained_variance",
        CatalogueMetric("entropy", times=-1): "train/entropy_loss",
        "action_std": "train/std",
        "entropy_coef": "train/ent_coef",
        "kl": "train/approx_kl",
        "clip_fraction": "train/clip_fraction",
        "lr": "train/learning_rate",
        # PPO counts its epochs.
        CatalogueMetric("updates", since_start=True): "train/n_updates",
        "exploration_rate": "rollout/exploration_rate",
        "return_mean": "eval/mean_reward",
    },
    settings=_pair(
        "lr=learning_rate entropy_coef=ent_coef clip=clip_range epochs=n_epochs "
        "grad_clip=max_grad_norm gamma=gamma value_coef=vf_coef kl_limit=target_kl num_envs=n_envs"
    ),
)

CLEANRL = Library(
    {
        CatalogueMetric("return_mean", per_episode=True): "charts/episodic_return",
        CatalogueMetric("episode_length", per_episode=True): "charts/episodic_length",
        "lr": "charts/learning_rate",
        "env_steps_per_s": "charts/sps",
        "policy_loss": ("losses/policy_loss", "losses/actor_loss"),
        "value_loss": ("losses/value_loss", "losses/td_loss", "losses/qf_loss"),
        "entropy": "losses/entropy",
        "entropy_coef": "losses/alpha",
        "kl": "losses/approx_kl",
        "clip_fraction": "losses/clipfrac",
        "explained_variance": "losses/explained_variance",
    },
    settings=_pair(
        "lr=--learning-rate entropy_coef=--ent-coef clip=--clip-coef epochs=--update-epochs "
        "grad_clip=--max-grad-norm gamma=--gamma value_coef=--vf-coef kl_limit=--target-kl "
        "num_envs=--num-envs"
    ),
)

# skrl 2.1 (``agents/torch``), whose value losses contain ``value_loss_scale``, 1 by default. The
# entropy loss contains its weight, so the entropy is not known; the returns are those of the
# episodes since the row before. A step counts once for all environments, so that it is no number of
# environment steps.
SKRL = Library(
    {
        "return_mean": "reward / total reward (mean)",
        "return_min": "reward / total reward (min)",
        "return_max": "reward / total reward (max)",
        "reward_mean": "reward / instantaneous reward (mean)",
        "episode_length": "episode / total timesteps (mean)",
        "policy_loss": "loss / policy loss",
        SQUARED_ERROR: ("loss / value loss", "loss / critic loss", "loss / q-network loss"),
        "entropy_coef": "coefficient / entropy coefficient",
        "action_std": "policy / standard deviation",
        "exploration_rate": "exploration / exploration epsilon",
        "lr": ("learning / learning rate", "learning / policy learning rate"),
    },
    step="",
    title="skrl",
    signs=(
        *("reward / instantaneous reward (mean)", "reward / total reward (mean)"),
        *("loss / policy loss", "loss / q-network loss"),
    ),
    settings=_pair(
        "lr=learning_rate entropy_coef=entropy_loss_scale clip=ratio_clip epochs=learning_epochs "
        "grad_clip=grad_norm_clip gamma=discount_factor value_coef=value_loss_scale "
        "kl_limit=kl_threshold num_envs=num_envs"
    ),
)

# rsl-rl-lib 5.5 (``utils/logger.py``, ``algorithms/ppo.py``): a step of TensorBoard is an
# iteration, returns are means of the last 100 episodes; ``value_function`` is of version 2.
RSL_RL = Library(
    {
        "return_mean_100": "train/mean_reward",
        "episode_length": "train/mean_episode_length",
        "policy_loss": "loss/surrogate",
        SQUARED_ERROR: ("loss/value", "loss/value_function"),
        "entropy": "loss/entropy",
        "action_std": ("policy/mean_std", "policy/mean_noise_std"),
        "lr": "loss/learning_rate",
        "env_steps_per_s": "perf/total_fps",
    },
    step="iteration",
    title="RSL-RL",
    signs=("loss/surrogate", "train/mean_reward"),
    settings=_pair(
        "lr=learning_rate entropy_coef=entropy_coef clip=clip_param epochs=num_learning_epochs "
        "grad_clip=max_grad_norm gamma=gamma value_coef=value_loss_coef num_envs=num_envs"
    ),
)

# rl_games 1.6 (``common/a2c_common.py``): returns are means of the last 100 episodes
# (``games_to_track``). The same numbers are logged once more by iteration and by second, as
# ``rewards/iter`` and ``rewards/time``.
RL_GAMES = Library(
    {
        "return_mean_100": "rewards/step",
        "episode_length": "episode_lengths/step",
        "policy_loss": "losses/a_loss",
        SQUARED_ERROR: ("losses/c_loss", "losses/c1_loss"),
        "kl": "info/kl",
        "lr": "info/last_lr",
        "entropy_coef": "info/alpha",
        "env_steps_per_s": "performance/step_inference_rl_update_fps",
    },
    settings=_pair(
        "lr=learning_rate entropy_coef=entropy_coef clip=e_clip epochs=mini_epochs "
        "grad_clip=grad_norm gamma=gamma num_envs=num_actors"
    ),
)

# Tianshou 2.0 (``algorithm/modelfree``, ``utils/logger``): losses are logged by the number of
# updates, ``ent_loss`` is the entropy itself; the scope was ``train`` before 2.0. Episode lengths
# (``lens_stat``) are left out: with on-policy algorithms they are too short, half of the return of
# CartPole, which pays 1 for a step.
TIANSHOU = Library(
    {
        **{
            f"return_{kind}": (f"training/returns_stat/{kind}", f"train/returns_stat/{kind}")
            for kind in ("mean", "std", "min", "max")
        },
        "episodes": ("training/n_collected_episodes", "train/n_collected_episodes"),
        "env_steps": ("training/env_step", "train/env_step"),
        "policy_loss": ("update/actor_loss/mean", "update/clip_loss/mean"),
        SQUARED_ERROR: "update/vf_loss/mean",
        "entropy": "update/ent_loss/mean",
    },
    title="Tianshou",
    signs=("training/env_step", "train/env_step"),
    by_update="update/",
)

# TorchRL 0.14 (``sota-implementations``, ``objectives/ppo.py``): losses contain their weights,
# which are 1 for the critic by default; the entropy is logged without its weight.
TORCHRL = Library(
    {
        "return_mean": ("train/reward", "train/episode_reward"),
        "episode_length": "train/episode_length",
        "policy_loss": "train/loss_objective",
        SQUARED_ERROR: "train/loss_critic",
        "entropy": "train/entropy",
        "kl": "train/kl_approx",
        "clip_fraction": "train/clip_fraction",
        "explained_variance": "train/explained_variance",
        "lr": "train/lr",
    }
)

# TRL 1.16 (``grpo_trainer.py``, ``dpo_trainer.py``): ``kl`` is the divergence to the frozen
# reference per token, not that of the update (``objective/kl``, a sum over a completion, is left
# out), ``reward`` the sum of the rewards of a completion, and ``grad_norm`` the norm before
# clipping. Ratios are clipped only where a batch is used more than once (``num_iterations``), so a
# clip fraction of 0 is no sign of a small step and is left out. Trackers get the numbers of an
# evaluation as ``eval/``. Until 0.16 lengths were called ``completion_length``.
TRL = Library(
    {
        "iteration": ("step", "global_step"),
        "return_mean": "reward",
        "return_std": "reward_std",
        CatalogueMetric("group_signal", times=-1, plus=1): "frac_reward_zero_std",
        "episode_length": ("completions/mean_length", "completion_length"),
        "truncated_fraction": "completions/clipped_ratio",
        "entropy": "entropy",
        "reference_kl": "kl",
        "total_loss": "loss",
        "policy_loss": "policy_loss",
        "entropy_coef": "entropy_coef",
        "grad_norm": "grad_norm",
        "lr": "learning_rate",
        "pair_accuracy": "rewards/accuracies",
        "pair_margin": "rewards/margins",
        "iteration_s": "step_time",
        "held_out_return_mean": ("eval_reward", "eval/reward"),
        None: "epoch",
    },
    title="TRL",
    signs=(
        *("frac_reward_zero_std", "completions/mean_length", "completions/clipped_ratio"),
        *("train/frac_reward_zero_std", "rewards/margins", "num_tokens"),
        *("completion_length", "train/completion_length"),
        *("train/rewards/margins", "train/rewards/accuracies"),
    ),
    chooses_tokens=True,
    settings=_pair(
        "lr=learning_rate clip=epsilon epochs=num_iterations grad_clip=max_grad_norm beta=beta "
        "group_size=num_generations temperature=temperature"
    ),
)

# verl 0.9 (``metric_utils.py``, ``core_algos.py``): a score is what a response is paid, a reward
# the same after the KL penalty; ``vf_loss`` is half the squared error; ``ppo_kl`` is the
# divergence of the update and ``kl_loss`` that to the frozen reference, both per token. A
# validation is logged for each data set (``*``), of which the first is used; ``test_score`` is of
# old versions.
VERL = Library(
    {
        "iteration": ("step", "training/global_step"),
        "return_mean": "critic/score/mean",
        "return_max": "critic/score/max",
        "return_min": "critic/score/min",
        "entropy": "actor/entropy",
        "policy_loss": "actor/pg_loss",
        "kl": "actor/ppo_kl",
        "clip_fraction": "actor/pg_clipfrac",
        "reference_kl": ("actor/kl_loss", "actor/reward_kl_penalty"),
        "grad_norm": "actor/grad_norm",
        "lr": "actor/lr",
        "value_loss": "critic/vf_loss",
        "explained_variance": "critic/vf_explained_var",
        "advantage_mean": "critic/advantages/mean",
        "episode_length": "response_length/mean",
        "truncated_fraction": "response_length/clip_ratio",
        "iteration_s": "timing_s/step",
        "held_out_return_mean": (
            *("val-core/*/reward/mean", "val-core/*/acc/mean", "val/test_score/*"),
        ),
    },
    title="verl",
    signs=("critic/score/mean", "actor/ppo_kl", "actor/pg_clipfrac"),
    chooses_tokens=True,
    settings=_pair(
        "lr=actor.optim.lr entropy_coef=actor.entropy_coeff clip=actor.clip_ratio "
        "epochs=actor.ppo_epochs grad_clip=actor.grad_clip beta=actor.kl_loss_coef "
        "group_size=rollout.n temperature=rollout.temperature gamma=algorithm.gamma"
    ),
)

# Ours, as `tune_jobs.trackers` writes it: among its groups, SB3's names mean something else.
RUNGWISE = Library(
    {name: (f"{find_group(name)[0]}/{name}",) for name in METRICS},
    title="Rungwise",
    signs=("health/nonfinite",),
)

LIBRARIES = (
    *(RUNGWISE, RLLIB, SB3, CLEANRL, SKRL, RSL_RL, RL_GAMES, TIANSHOU, TORCHRL, TRL, VERL),
    PLAIN,
)
"""Where a log has several names for one metric, that of the first table is used."""
