"""The catalogue of metrics: one flat list of names for results, rules, reports and searches.

An environment's own episode metrics (``excess_risk`` of CausalLearning, ...) are reported under
their own names beside these, as the mean over the episodes that finished in the iteration.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric of a training iteration."""

    unit: str
    meaning: str
    healthy: str = ""
    """What it looks like in a healthy run, where that can be said at all."""


METRICS: dict[str, Metric] = {
    "return_mean": Metric(
        "reward", "mean return of the episodes that finished in this iteration", "rises"
    ),
    "return_mean_100": Metric("reward", "the same over the last 100 episodes; lags behind"),
    "return_std": Metric("reward", "standard deviation of those returns"),
    "return_min": Metric("reward", "smallest of those returns"),
    "return_max": Metric("reward", "largest of those returns"),
    "episodes": Metric("count", "episodes that finished in this iteration", "above 0"),
    "episode_length": Metric("steps", "mean length of those episodes"),
    "reward_mean": Metric("reward", "mean reward of a step"),
    "reward_std": Metric("reward", "standard deviation of a step's reward", "above 0"),
    "reward_zero_share": Metric(
        "share", "steps whose reward before bonuses is smaller than 0.01 in size", "below 0.85"
    ),
    "choice_shares": Metric("shares", "how often each discrete choice was taken"),
    "choice_share_max": Metric("share", "share of the most frequent choice", "below 0.6 at first"),
    "entropy": Metric("nats", "mean entropy of the policy", "falls slowly"),
    "entropy_normalised": Metric(
        "share", "entropy over that of uniform actions", "above 0.05 until solved"
    ),
    "choice_entropy": Metric("nats", "entropy of the choices averaged over states"),
    "entropy_coef": Metric("weight", "weight of the entropy bonus in this iteration"),
    "kl_coef": Metric("weight", "weight of the KL penalty in this iteration"),
    "policy_loss": Metric("loss", "policy part of the loss"),
    "value_loss": Metric("reward^2", "half the squared error of the value"),
    "explained_variance": Metric(
        "share", "share of the returns' variance the value explains", "rises to 1"
    ),
    "advantage_std": Metric("reward", "standard deviation of the advantages before normalisation"),
    "kl": Metric(
        "nats", "KL of the collecting to the new policy at the end of the update", "0.001 to 0.05"
    ),
    "kl_max": Metric("nats", "largest KL of a minibatch", "below 0.5"),
    "clip_fraction": Metric(
        "share", "rows whose ratio left the clip range at the end of the update", "below 0.3"
    ),
    "grad_norm": Metric("norm", "mean gradient norm before clipping"),
    "grad_norm_max": Metric("norm", "largest gradient norm before clipping"),
    "grad_clipped_share": Metric("share", "optimiser steps in which the clip was active"),
    "grad_clip": Metric("norm", "the limit of the gradient norm, 0 for none"),
    "lr": Metric("rate", "learning rate of this iteration"),
    "updates": Metric("count", "optimiser steps of this iteration", "above 0"),
    "epochs_run": Metric("count", "passes over the rows before the KL limit stopped them"),
    "nonfinite": Metric("count", "NaN and infinite numbers met in this iteration", "0"),
    "nonfinite_where": Metric("text", "where the first of them was"),
    "runners_lost": Metric("count", "rollout workers that died or hung in this iteration", "0"),
    "runners_lost_why": Metric("text", "where those that hung were"),
    "env_steps": Metric("steps", "environment steps since the start"),
    "env_steps_per_s": Metric("steps/s", "environment steps of this iteration over its seconds"),
    "iteration_s": Metric("s", "seconds of this iteration"),
    "sample_s": Metric("s", "of which collecting"),
    "learn_s": Metric("s", "of which learning"),
}
