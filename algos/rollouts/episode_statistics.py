"""Statistics of episodes and rollouts, as array operations over all copies at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from algos.models.base import MASK
from algos.rollouts.finished_episodes import FinishedEpisodes, merge_figures
from algos.rollouts.rollout import Rollout
from envs.contract.agents import count_agents
from envs.contract.batched import get_world
from rungwise.metrics import INFO_METRICS

Array = np.ndarray[Any, Any]

MOST_CHOICES = 1000
"""Choices whose shares are recorded; of the words of a language model that would be a long list."""
ZERO_REWARD = 0.01
"""A reward of smaller size counts as zero (the causal-learning post-mortem's limit); where none is
as large, one of less than a hundredth of the largest."""


@dataclass
class EpisodeStatistics:
    """Running sums over the unfinished episodes of B copies; kept across rollouts."""

    copies: int
    metric_names: tuple[str, ...] = ()
    """Entries of the environment's info whose last value, a number or a list of them, describes a
    finished episode."""
    step_names: tuple[str, ...] = ()
    """Entries of the environment's info that are averaged over all steps."""
    agents: int = 1
    """Agents of each game (A): copy b is agent b mod A."""
    reports_success: bool = False
    """Whether an episode of this environment has said whether it was a success."""
    returns: Array = field(init=False)
    lengths: Array = field(init=False)
    rewarded: Array = field(init=False)
    """Steps of the running episode whose reward, before bonuses, is not exactly 0."""

    @classmethod
    def of_env(cls, env: VectorEnv[Any, Any, Any]) -> EpisodeStatistics:
        """Return the statistics of an environment, before its first step."""
        world, names, of_steps = get_world(env), tuple(INFO_METRICS), tuple[str, ...]()
        if world:
            names, of_steps = (*world.episode_metrics, *world.list_metrics), world.step_metrics
        return cls(env.num_envs, names, of_steps, count_agents(env))

    def __post_init__(self) -> None:
        self.returns = np.zeros(self.copies, np.float64)
        self.lengths = np.zeros(self.copies, np.int64)
        self.rewarded = np.zeros(self.copies, np.int64)


class RolloutStatistics:
    """Statistics of one rollout about the agent and the environment."""

    def __init__(self, episodes: EpisodeStatistics, choices: int) -> None:
        self.episodes, self.choices = episodes, choices
        self.finished = FinishedEpisodes(
            episodes.metric_names, episodes.copies, episodes.reports_success
        )
        self.rewards_before_bonus: list[Array] = []
        self.steps: dict[str, list[Array]] = {name: [] for name in episodes.step_names}

    def record_step(self, infos: Mapping[str, Any], done: Array) -> None:
        """Add the infos of one step; ``done [B]`` are the copies that finished."""
        before_bonus = of_step(infos, "reward_before_bonus")
        if before_bonus is not None:
            self.rewards_before_bonus.append(before_bonus)
        for name, parts in self.steps.items():
            if (of_copies := of_step(infos, name)) is not None:
                parts.append(of_copies)
        if self.episodes.metric_names and done.any():
            self.finished.record(infos, done)
            self.episodes.reports_success = self.finished.reports_success

    def record_cut_off(self, infos: Mapping[str, Any], cut: Array) -> None:
        """Add the episodes of copies ``cut [B]``, which end with the rollout's last step."""
        # Their figures so far; the final ones are of copies that finished in this step.
        self.finished.record({n: of for n, of in infos.items() if n != "final_info"}, cut)
        self.episodes.reports_success = self.finished.reports_success

    def summarise(self, rollout: Rollout, truncated: Array) -> dict[str, Any]:
        """Return flat statistics; sums and counts rather than means, so that runners can be merged.

        Args:
            rollout: everything stored; what is not finite is searched for in all of it.
            truncated: ``[T, B]``, where a time limit ended an episode.
        """
        columns, rewards, valid = rollout.columns, rollout.rewards, rollout.valid
        # Zero rewards are counted before bonuses, which would hide that the task itself
        # pays nothing.
        base = np.stack(self.rewards_before_bonus) if self.rewards_before_bonus else rewards
        counted = rewards[valid]
        returns, lengths, rewarded = self._finish_episodes(rewards, base, rollout.done, valid)
        episodes = self.finished.concatenate()
        if len(returns):
            episodes |= {
                "episode_return": returns,
                "episode_length": lengths,
                "rewarded_episode_fraction": rewarded > 0,
                "truncated_fraction": truncated.T[rollout.done.T],
            }
        if self.episodes.agents > 1:
            episodes["agent"] = np.nonzero(rollout.done.T)[0] % self.episodes.agents
        out: dict[str, Any] = {
            "steps": int(valid.sum()),
            "reward_sum": float(counted.sum()),
            # In float64: the variance is later a difference of two large sums.
            "reward_square_sum": float(np.square(counted, dtype=np.float64).sum()),
            # Smallest, largest, and whether any episode ended by itself.
            "reward_signal": (
                float(counted.min(initial=np.inf)),
                float(counted.max(initial=-np.inf)),
                bool((rollout.done & ~truncated & valid).any()),
            ),
            "zero_rewards": _count_zeros(base[valid]),
            "episodes": episodes,
            "running": (self.episodes.returns.copy(), self.episodes.lengths.copy()),
            "agents": self.episodes.agents,
            "step_sums": {
                name: float(np.stack(parts)[valid].sum())
                for name, parts in self.steps.items()
                if parts
            },
        }
        if "choice" in columns and self.choices <= MOST_CHOICES:
            # A forced move shows no preference of the policy.
            mask = columns.get(MASK)
            free = valid if mask is None else valid & ((mask != 0).sum(-1) > 1)
            out["choices"] = np.bincount(columns["choice"][free], minlength=self.choices)
        searched = {**columns, "value of the next state": rollout.next_values, "reward": rewards}
        out["nonfinite"], out["nonfinite_where"] = count_nonfinite(searched)
        return out

    def _finish_episodes(
        self, rewards: Array, base: Array, done: Array, valid: Array
    ) -> tuple[Array, Array, Array]:
        """Return returns, lengths and rewarded steps of the episodes that ended, copy by copy.

        What belongs to an episode that has not ended is kept for the next rollout.
        """
        running, length = self.episodes, len(done)
        # Transposed, so that the steps of an episode follow each other: a part begins with each
        # copy and behind each end, and those of one copy are neighbours.
        begins = np.roll(done.T, 1, axis=1)
        begins[:, 0] = True
        starts = np.flatnonzero(begins)
        first = np.flatnonzero(starts % length == 0)
        last = np.append(first[1:], len(starts)) - 1
        over = done.T.ravel()[np.append(starts[1:], done.size) - 1]
        out: list[Array] = []
        for carried, step in (
            (running.returns, np.where(valid, rewards, 0)),
            (running.lengths, valid),
            (running.rewarded, valid & (base != 0)),
        ):
            # Each part by itself, without a loop: a NaN would stay in differences of running
            # totals, and so in all later episodes of its copy.
            sums = np.add.reduceat(step.T.ravel(), starts, dtype=carried.dtype)
            sums[first] += carried
            carried[:] = np.where(over[last], 0, sums[last])
            out.append(sums[over])
        return out[0], out[1], out[2]


def _count_zeros(rewards: Array) -> int:
    """Return how many of the rewards [N] count as zero (:data:`ZERO_REWARD`)."""
    size = np.abs(rewards)
    largest = size.max(initial=0.0)
    limit = ZERO_REWARD if largest >= ZERO_REWARD else ZERO_REWARD * largest
    return int(((size < limit) | (size == 0)).sum())


def of_step(infos: Mapping[str, Any], name: str) -> Array | None:
    """Return a step's entry ``name`` [B, ...] of ``infos``, finished copies included.

    An environment with same-step autoreset has theirs in ``final_info`` alone.
    """
    final = infos.get("final_info", {})
    if name not in final or name not in infos:
        return final.get(name, infos.get(name))
    figure, ended = infos[name].copy(), final.get(f"_{name}", infos.get("_final_info"))
    figure[ended] = final[name][ended]
    return figure


def compute_environment_metrics(
    columns: Mapping[str, Array],
    rewards: Array,
    running_lengths: Array,
    observed: Mapping[str, spaces.Space[Any]],
) -> dict[str, float]:
    """Return metrics of the environment's numbers over one rollout.

    Args:
        columns: observation columns ``[T, B, ...]`` as the network reads them.
        rewards: ``[T, B]``.
        running_lengths: steps so far ``[B]`` of the episodes that have not ended.
        observed: space of each column, by its name; a category has no size.
    """
    # The smallest and largest entry [2, numbers] of each number that is observed. Pixels may be
    # bits (MinAtar) or bytes, which encoders scale to 1.
    extremes = {
        name: np.stack([column.min((0, 1)).reshape(-1), column.max((0, 1)).reshape(-1)])
        / (255 if column.dtype == np.uint8 else 1)
        for name, column in columns.items()
        if column.dtype.kind in "biuf"
    }
    low, high = np.concatenate([*extremes.values()] or [np.zeros((2, 1))], 1)
    categories = spaces.Discrete | spaces.MultiDiscrete
    sizes = [
        np.abs(part).max()
        for name, part in extremes.items()
        if not isinstance(observed.get(name), categories)
    ]
    return {
        "observation_abs_max": float(max(sizes, default=0)),
        "observation_constant_fraction": float((high == low).mean()),
        "reward_abs_max": float(np.abs(rewards).max()),
        "running_length_max": float(running_lengths.max()),
    }


def count_nonfinite(columns: Mapping[str, Array]) -> tuple[int, str]:
    """Count the NaN and infinite entries of ``[T, B, ...]`` columns, and locate the first."""
    count, where = 0, ""
    for name, column in columns.items():
        if not np.issubdtype(column.dtype, np.floating):
            continue
        bad = ~np.isfinite(column)
        if not bad.any():
            continue
        if not where:
            t, copy = np.argwhere(bad)[0][:2]
            where = f"{name} at step {t} of the rollout in copy {copy}"
        count += int(bad.sum())
    return count, where


def compute_agent_returns(returns: Array, agents: Array, count: int) -> dict[str, Any]:
    """Return the mean return of each agent of a game, and their sum: that of all agents.

    Args:
        returns: those of finished episodes ``[N]``, one for each agent of a game.
        agents: whose they are ``[N]``.
        count: agents of a game. Until each of them has finished an episode nothing is returned.

    >>> compute_agent_returns(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 0]), 2)
    {'agent_returns': [2.0, 2.0], 'return_total': 4.0}
    """
    if count < 2 or len(np.unique(agents)) < count:
        return {}
    each = [float(returns[agents == agent].mean()) for agent in range(count)]
    return {"agent_returns": each, "return_total": sum(each)}


def _combine_extremes(conditions: list[dict[str, float]]) -> dict[str, float]:
    """Combine the metrics of runners: the largest maximum, the smallest constant fraction.

    A number that changed in one runner is not constant.
    """
    return {
        name: (min if name.endswith("_constant_fraction") else max)(
            metrics[name] for metrics in conditions
        )
        for name in conditions[0]
    }


def merge_statistics(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge the statistics of several runners into flat metrics (``rungwise/metrics.py``)."""
    steps = max(sum(part["steps"] for part in parts), 1)
    mean = sum(part["reward_sum"] for part in parts) / steps
    square = sum(part["reward_square_sum"] for part in parts) / steps
    metrics: dict[str, Any] = {
        "steps": sum(part["steps"] for part in parts),
        "reward_mean": mean,
        # Rounding may make the difference of equal numbers negative.
        "reward_std": float(np.sqrt(max(square - mean**2, 0))),
        "zero_reward_fraction": sum(part["zero_rewards"] for part in parts) / steps,
        # Runners sample at the same time: the slowest one is the duration.
        "sample_s": max(part["sample_s"] for part in parts),
        "nonfinite": sum(part["nonfinite"] for part in parts),
        **_combine_extremes([part["condition"] for part in parts]),
        "nonfinite_where": next((p["nonfinite_where"] for p in parts if p["nonfinite"]), ""),
    }
    for name in parts[0]["step_sums"]:
        metrics[name] = sum(part["step_sums"].get(name, 0.0) for part in parts) / steps
    finished = merge_figures(part["episodes"] for part in parts)
    returns = finished.pop("episode_return", np.empty(0))
    agents = finished.pop("agent", np.empty(0))
    metrics |= compute_agent_returns(returns, agents, parts[0].get("agents", 1))
    metrics["episodes"] = len(returns)
    if len(returns):
        metrics |= {
            "return_mean": float(returns.mean()),
            "return_std": float(returns.std()),
            "return_min": float(returns.min()),
            "return_max": float(returns.max()),
            "episode_length": float(finished.pop("episode_length").mean()),
        }
        metrics |= {
            str(INFO_METRICS.get(name, name)): values.mean(0).tolist()
            for name, values in finished.items()
            if len(values)
        }
    if "choices" in parts[0]:
        counts: Array = np.sum([part["choices"] for part in parts], axis=0)
        if counts.any():  # else every move was forced
            shares = counts / counts.sum()
            metrics |= {
                "choice_fractions": shares.tolist(),
                "choice_fraction_max": float(shares.max()),
            }
    return metrics
