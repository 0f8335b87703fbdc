"""The catalogue of metrics: one flat list of names for results, rules, reports and searches.

An environment's own episode metrics (``excess_risk`` of CausalLearning, ...) are reported under
their own names in addition to these, as the mean over the episodes that finished in the iteration.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from rungwise.success import SUCCESS_NAMES

HELD_OUT = "held_out_"
"""Prefix of the metrics of a policy under training on seeds that it never trains on."""

STAGE = "stage"
"""Metric of a curriculum: the stage that the episodes of an iteration are scored at, or that an
episode began in."""
STAGES_LEFT = "stages_left"
"""Metric of a curriculum: the number of its stages that are harder than this one."""


def depends_on_stage(score: str) -> bool:
    """Return whether a score falls with the next stage; held-out episodes play the last one."""
    return not score.startswith(HELD_OUT)


@dataclass(frozen=True)
class Metric:
    """One metric of a training iteration."""

    unit: str
    meaning: str
    healthy: str = ""
    """Its values in a healthy run, where that can be said at all."""


METRICS: dict[str, Metric] = {
    "return_mean": Metric(
        "reward", "mean return of the episodes that finished in this iteration", "rises"
    ),
    "return_mean_100": Metric("reward", "the same over the last 100 episodes; lags behind"),
    "return_std": Metric("reward", "standard deviation of those returns"),
    "return_min": Metric("reward", "smallest of those returns"),
    "return_max": Metric("reward", "largest of those returns"),
    "agent_returns": Metric(
        "reward", "mean return of each agent, in a game of several; `return_mean` is over all"
    ),
    "return_total": Metric("reward", "sum of the mean returns of all agents"),
    "held_out_return_mean": Metric(
        "reward", "mean return on seeds, or prompts, that are never trained on", "rises"
    ),
    "episodes": Metric("count", "episodes that finished in this iteration", "above 0"),
    "episode_length": Metric("steps", "mean length of those episodes"),
    "reward_mean": Metric("reward", "mean reward of a step"),
    "reward_std": Metric("reward", "standard deviation of a step's reward", "above 0"),
    "zero_reward_fraction": Metric(
        "fraction",
        "steps whose reward before bonuses is smaller than 0.01 in size, or than a hundredth of "
        "the largest where none is as large",
        "below 0.85",
    ),
    "rewarded_episode_fraction": Metric(
        "fraction", "finished episodes with any reward before bonuses that is not 0", "rises to 1"
    ),
    "reward_abs_max": Metric("reward", "largest size of a reward"),
    "success_rate": Metric(
        "fraction", "finished episodes that reached their goal, where the environment says so"
    ),
    "truncated_fraction": Metric("fraction", "finished episodes that were cut off by a time limit"),
    "running_length_max": Metric("steps", "longest episode that has not ended yet"),
    "time_limit": Metric("steps", "limit of an episode, where the environment names one"),
    "unfinished_episodes": Metric(
        "count",
        "episodes that have already lasted four times as long as the last 100 that ended, or more",
    ),
    "unfinished_return_mean": Metric(
        "reward", "mean return so far of those; they count in a score that is a mean return"
    ),
    "scored_reward_mean": Metric(
        "reward",
        "mean reward of a step in the last tenth of training, by which a trial is scored in which "
        "no episode has ended",
    ),
    "observation_abs_max": Metric(
        "", "largest size of an observed number, after normalisation where it is on", "below 10"
    ),
    "observation_constant_fraction": Metric(
        "fraction", "observed numbers that never changed in this iteration", "below 1"
    ),
    "normaliser_constant_fraction": Metric(
        "fraction",
        "normalised numbers whose statistics have seen a single value or nothing, in the policy "
        "that acted",
        "below 1 from the second iteration on",
    ),
    "choice_fractions": Metric(
        "shares", "how often each discrete choice was taken where at least two were legal"
    ),
    "choice_fraction_max": Metric(
        "fraction", "share of the most frequent choice", "below 0.6 at first"
    ),
    "choice_step_fraction": Metric("fraction", "steps in which at least two actions were legal"),
    "entropy": Metric(
        "nats", "mean entropy of the policy where at least two actions were legal", "falls slowly"
    ),
    "entropy_normalised": Metric(
        "fraction",
        "the same over the entropy of uniform actions; absent where no step had a choice",
        "above 0.05 until solved",
    ),
    "temperature": Metric("factor", "what the logits of choices are divided by from now on"),
    "value_spread": Metric(
        "half ranges", "standard deviation of normal values in the next iteration"
    ),
    "choice_entropy": Metric("nats", "entropy of the choices averaged over states"),
    "entropy_coef": Metric("weight", "weight of the entropy bonus in this iteration"),
    "kl_coef": Metric("weight", "weight of the KL penalty in this iteration"),
    "policy_loss": Metric("loss", "policy part of the loss"),
    "total_loss": Metric("loss", "what is minimised: all terms together, measured where `kl` is"),
    "value_loss": Metric(
        "reward^2",
        "half the squared error of the value; with `normalise_values` over the returns' variance",
    ),
    "explained_variance": Metric(
        "fraction", "share of the returns' variance the value explains", "rises to 1"
    ),
    "advantage_std": Metric("reward", "standard deviation of the advantages before normalisation"),
    "kl": Metric(
        "nats",
        "KL of the collecting to the new policy in the update's last minibatches, each before its "
        "own step, so about 0 in an update of one step; of DPO over its pairs, "
        "the best and worst of several draws, where a healthy one is many times larger",
        "0.001 to 0.05",
    ),
    "kl_max": Metric("nats", "largest KL of these minibatches", "below 0.5"),
    "clip_fraction": Metric(
        "fraction",
        "rows whose ratio left the clip range, measured where `kl` is",
        "below 0.3",
    ),
    "group_signal": Metric(
        "fraction", "steps in groups of episodes whose returns differ", "above 0.1 until solved"
    ),
    "pairs": Metric("count", "preference pairs of this iteration", "above 0"),
    "pair_gap": Metric("reward", "how much better the better half was, on average"),
    "pair_accuracy": Metric(
        "fraction",
        "pairs whose better half the policy favours more than the reference does",
        "rises",
    ),
    "pair_margin": Metric("nats", "by how much, times beta"),
    "chosen_gain": Metric("nats", "log-probability of the better halves over the reference's"),
    "v_star_starts": Metric("count", "starts whose V* is known (until the first iteration)"),
    "v_star_starts_left": Metric("count", "starts whose V* is still to be estimated", "falls to 0"),
    "v_star_mean": Metric("reward", "mean V* of those starts"),
    "v_star_std": Metric("reward", "standard deviation of V* over those starts"),
    "v_star_max": Metric("reward", "largest V* of those starts"),
    "v_star_flat_fraction": Metric(
        "fraction", "starts whose samples all had the same return", "below 0.95"
    ),
    "v_star_failed_fraction": Metric(
        "fraction",
        "starts of which no sample succeeded, where the environment says what success is",
        "below 1",
    ),
    "v_star_s": Metric("s", "seconds in which this process has estimated V*"),
    "v_star_left_s": Metric("s", "seconds until V* of every start is known, at the pace so far"),
    "advantage_mean": Metric(
        "reward", "mean advantage before normalisation; of A*-PO the mean return minus V*", "rises"
    ),
    "advantage_negative_fraction": Metric("fraction", "episodes that did worse than V*", "falls"),
    "advantage_clip_fraction": Metric("fraction", "advantages cut off at the limit", "below 0.5"),
    "reference_kl": Metric("nats", "KL of the policy to its frozen copy, per action"),
    "warm_start_loss": Metric("nats", "minus the log-probability of the imitated actions"),
    "grad_norm": Metric("norm", "mean gradient norm before clipping"),
    "grad_norm_max": Metric("norm", "largest gradient norm before clipping"),
    "grad_clip_fraction": Metric("fraction", "optimiser steps in which the clip was active"),
    "grad_clip": Metric("norm", "the limit of the gradient norm, 0 for none"),
    "grad_norm_policy": Metric("norm", "gradient norm of the policy's part of the loss", "above 0"),
    "grad_norm_value": Metric("norm", "gradient norm of the weighted value error", "above 0"),
    "grad_norm_entropy": Metric("norm", "gradient norm of the weighted entropy bonus", "above 0"),
    "grad_norm_kl": Metric("norm", "gradient norm of the weighted KL penalty"),
    "grad_norm_reference_kl": Metric("norm", "gradient norm of the weighted KL to the reference"),
    "grad_norm_head": Metric(
        "norm", "gradient norm of the weights that turn features into the policy's outputs"
    ),
    "grad_norm_backbone": Metric(
        "norm", "gradient norm of the other weights behind the policy's outputs"
    ),
    "grad_norm_likelihood": Metric("norm", "gradient norm of the weighted log-probability of text"),
    "grad_norm_diversity": Metric("norm", "gradient norm of the weighted diversity bonus"),
    "update_ratio": Metric(
        "fraction", "how far the update moved the parameters, over their norm", "1e-4 to 0.1"
    ),
    "dead_unit_fraction": Metric("fraction", "hidden units saturated in every row", "below 0.3"),
    "encoder_constant_fraction": Metric(
        "fraction",
        "features that were the same in all rows, of the part of the observation where they are "
        "most; parts that did not change themselves are left out",
        "below 1",
    ),
    "feature_constant_fraction": Metric(
        "fraction", "the same over the features of all parts that changed", "below 1"
    ),
    "memory_effect_fraction": Metric(
        "fraction",
        "share of memory in what the policy's outputs depend on, the rest being the present "
        "observation: how far they move when either is swapped between rows",
        "above 0.01",
    ),
    "value_abs_max": Metric("reward", "largest size of a value"),
    "target_abs_max": Metric("reward", "largest size of a return that values are fitted to"),
    "lr": Metric("rate", "learning rate of this iteration"),
    "action_std": Metric(
        "number", "standard deviation of normal actions, mean over dimensions", "falls slowly"
    ),
    "exploration_rate": Metric("fraction", "actions drawn at random (DQN)", "falls below 0.1"),
    "gamma": Metric("fraction", "discount of what the next step is worth", "0.9 to 1"),
    "warm_up_steps": Metric(
        "steps", "random steps before the first update, of RLlib's algorithms with a replay buffer"
    ),
    "updates": Metric("count", "optimiser steps of this iteration", "above 0"),
    "epochs_run": Metric("count", "passes over the rows before the KL limit stopped them"),
    "nonfinite": Metric("count", "NaN and infinite numbers met in this iteration", "0"),
    "nonfinite_where": Metric("text", "where the first of them was"),
    "runners_lost": Metric("count", "rollout workers that died or hung in this iteration", "0"),
    "runners_lost_why": Metric("text", "where those that hung were"),
    "stage": Metric("number", "stage of the curriculum, counted from 0", "rises"),
    "stages_left": Metric("count", "harder stages that are still to come", "falls to 0"),
    "env_steps": Metric("steps", "environment steps since the start"),
    "env_steps_per_s": Metric("steps/s", "environment steps of this iteration over its seconds"),
    "iteration_s": Metric("s", "seconds of this iteration"),
    "sample_s": Metric("s", "of which collecting"),
    "learn_s": Metric("s", "of which learning"),
    "action_clip_fraction": Metric(
        "fraction", "values of actions that lay outside of their bounds", "below 0.5"
    ),
    "range_utilisation": Metric(
        "fraction", "share of their range that set values use, where the environment says so"
    ),
    "episode_improvement": Metric(
        "reward",
        "how much better an episode's last steps are than its first, where the environment says so",
        "above 0",
    ),
    "node_losses": Metric(
        "nats or squares",
        "excess risk of each node at the end of the episodes, where there is one causal model",
        "falls",
    ),
    "reward_log_gain": Metric("reward", "term of the reward, mean over steps: gain in knowledge"),
    "reward_improvement": Metric("reward", "the same: fall of the post-mortem's loss"),
    "reward_concentration": Metric("reward", "the same: penalty of the commonest choice", "near 0"),
    "reward_coverage": Metric("reward", "the same: bonus on different choices"),
    "reward_undersampled": Metric("reward", "the same: bonus on rare choices"),
    "log_p_with": Metric(
        "nats", "log-probability of the answer after the thought, where the environment says so"
    ),
    "log_p_without": Metric("nats", "the same without a thought", "0.1 less or lower"),
    "log_p_shuffled": Metric(
        "nats", "the same after the thought of another context", "as without, or lower"
    ),
    "log_p_random": Metric("nats", "the same after random tokens", "as without, or lower"),
}

INFO_METRICS = {
    **dict.fromkeys(SUCCESS_NAMES, "success_rate"),
    "range_utilisation": "range_utilisation",
    "episode_improvement": "episode_improvement",
    "log_p_with": "log_p_with",
    "log_p_without": "log_p_without",
    "log_p_shuffled": "log_p_shuffled",
    "log_p_random": "log_p_random",
    "node_excess": "node_losses",
}
"""Entry of an episode's last ``info``, of any environment -> the metric that it becomes."""

GROUPS = (
    ("rollout", "return", "return|episode|reward|zero_reward|success|truncated|unfinished|agent_"),
    ("train", "losses", "policy_loss|total_loss|value_loss|explained|warm_start_loss"),
    ("train", "policy", "entropy|kl|clip_|temperature|value_spread|lr"),
    ("rollout", "policy", "choice|action_"),
    ("health", "health", "dead_|encoder_|feature_|memory_|nonfinite|normaliser_|observation_"),
    ("health", "health", "runners_|target_|value_abs_"),
    ("train", "health", "grad_|update_"),
    ("time", "speed", "env_steps|iteration_s|sample_s|learn_s"),
    ("train", "speed", "updates|epochs_"),
    ("time", "task and method", "v_star_(left_)?s$"),
    ("train", "task and method", "advantage_|chosen_|group_signal|pair|reference_|v_star_"),
    ("train", "task and method", "exploration_|gamma|warm_up_"),
    ("rollout", "task and method", ""),
)
"""Group of the trackers, panel of the page, how names begin; the first row that fits counts."""


@functools.cache
def find_group(name: str) -> tuple[str, str]:
    """Return a metric's group and panel; what an environment measures itself is in the last."""
    rows = GROUPS if name in METRICS else GROUPS[-1:]
    return next((group, panel) for group, panel, starts in rows if re.match(starts, name))
