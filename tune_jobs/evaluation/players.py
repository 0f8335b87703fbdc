"""Players (policies, random actions, simple rules) and the episodes that they play."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from gymnasium.vector import utils as vector_utils

from algos.policy import Policy, State
from algos.rollouts.autoreset import carry_state
from algos.rollouts.env_factory import find_env_spec, list_arguments, make_vector_env
from algos.rollouts.episodes import EpisodeStep, measure_returns, play_episodes
from envs.adapters.time_limit import find_time_limit
from envs.contract import counter_rng
from envs.contract.action_masks import MASK_PART, is_mask_of, sample_legal
from envs.contract.agents import count_agents
from envs.contract.batched import World
from envs.contract.pytree import concatenate, take
from tune_jobs.evaluation.episode_budget import LEAST, LEAST_SINGLE, MOST_STEPS

Array = np.ndarray[Any, Any]

Act = Callable[[Any, Any, Any], Any]
"""(state or None, observations [N], keys [N] or None) -> actions [N]."""

Count = Callable[[int, int], None]
"""Takes the number of finished episodes, and the steps that the batch has advanced."""

COPIES = 64
"""Copies of a Gymnasium environment that play side by side: each is a Python object of its own."""
PLAIN_SCORE = "return"
"""Episode metric of an environment without a batched world: its undiscounted return."""

LONGEST_LIMIT = 10**6
"""Largest argument of an environment that is taken for a limit of its episodes."""


@dataclass
class EvaluatedEpisodes:
    """N finished episodes of one player, one a seed."""

    metrics: dict[str, Array]
    """Episode metric -> [N]."""
    traces: Array | None = None
    """Loss per node after 0..T interventions, averaged over seeds: [T + 1, n]."""
    choices: Array = field(default_factory=lambda: np.zeros(0))
    """Counts of each choice over all episodes; empty where there are no choices."""
    actions: list[Any] = field(default_factory=list[Any])
    """The actions [N] of each step; those of an episode that has ended have no effect."""
    lengths: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """Steps of each episode, [N]."""
    cut_off: int = 0
    """How many of them were cut off before their end."""

    def __len__(self) -> int:
        return len(next(iter(self.metrics.values())))

    @property
    def choice_fractions(self) -> list[float]:
        """Fraction of each choice among all choices; empty where there are none."""
        total = self.choices.sum()
        return (self.choices / total).tolist() if total else []


def join_episodes(parts: Sequence[EvaluatedEpisodes]) -> EvaluatedEpisodes:
    """Join the episodes of several batches of one player into one batch.

    A batch that ended sooner is padded with its last actions and its last losses, which change
    nothing: its episodes have ended.
    """
    if len(parts) == 1:
        return parts[0]
    steps = max(len(part.actions) for part in parts)
    actions = [
        concatenate(*(part.actions[min(t, len(part.actions) - 1)] for part in parts))
        for t in range(steps)
    ]
    return EvaluatedEpisodes(
        {name: np.concatenate([p.metrics[name] for p in parts]) for name in parts[0].metrics},
        _average_traces(parts),
        np.sum([part.choices for part in parts], axis=0),
        actions,
        np.concatenate([part.lengths for part in parts]),
        sum(part.cut_off for part in parts),
    )


def _average_traces(parts: Sequence[EvaluatedEpisodes]) -> Array | None:
    traces = [part.traces for part in parts if part.traces is not None]
    if not traces:
        return None
    longest = max(map(len, traces))
    padded = [np.pad(t, ((0, longest - len(t)), (0, 0)), "edge") for t in traces]
    # Each trace is a mean already, so the mean of several is weighted by their episodes.
    return np.average(padded, axis=0, weights=[len(part) for part in parts])


def play_world_episodes(
    world: World[Any], act: Act, episodes: int, seed: int, report_progress: Count | None = None
) -> EvaluatedEpisodes:
    """Play one episode on each of the seeds from ``seed`` in a batched world.

    Args:
        world: the world.
        act: the player.
        episodes: the number of seeds N.
        seed: the first of them.
        report_progress: called as episodes finish.
    """
    keys = counter_rng.make_keys(seed, episodes)
    _start_episodes(act, episodes, seed)
    start = world.reset(keys)
    played = EvaluatedEpisodes(
        metrics={}, choices=np.zeros(len(world.choice_names)), lengths=np.zeros(episodes, np.int64)
    )
    losses = world.compute_choice_losses(start[0])
    traces = [] if losses is None else [losses.mean(0)]

    def choose(state: object, observation: object, number: int) -> Any:
        # A player's draws must differ from those of the world, which folds in others.
        return act(state, observation, counter_rng.fold(keys, number + 2**20))

    for step in play_episodes(start, world.step, choose):
        played.actions.append(step.action)
        played.lengths += step.running
        if len(played.choices):
            choice = step.action["choice"] if isinstance(step.action, Mapping) else step.action
            taken = np.asarray(choice)[step.running]
            played.choices += np.bincount(taken, minlength=len(played.choices))
        moved = world.compute_choice_losses(step.moved.state)
        if losses is not None and moved is not None:  # an episode that has ended keeps its last
            losses = np.where(step.running[:, None], moved, losses)
            traces.append(losses.mean(0))
        if step.ended.any():
            _read_metrics(world, step, played.metrics)
            if report_progress:
                report_progress(episodes - step.left, step.number + 1)
    played.traces = np.stack(traces) if traces else None
    return played


def _read_metrics(world: World[Any], step: EpisodeStep, metrics: dict[str, Array]) -> None:
    """Read the metrics of the episodes that ended with a step: later ones may change the state."""
    ended = step.ended
    figures = {name: step.moved.info[name][ended] for name in world.episode_metrics}
    figures |= world.compute_evaluation_metrics(take(step.moved.state, ended))
    for name, values in figures.items():
        metrics.setdefault(name, np.zeros(len(ended)))[ended] = values


def _start_episodes(act: Act, count: int, first: int) -> None:
    """Have a player forget earlier episodes and begin ``count`` rows, seeded from ``first``."""
    if isinstance(act, PolicyPlayer):
        act.start_episodes(count)
    elif isinstance(act, RandomPlayer):
        act.start_episodes(count, first)


class WorldCopies:
    """Copies of a batched world that play batch after batch."""

    most_together: int | None = None
    """The largest batch; None for one of any size."""
    least = LEAST
    """Episodes that are always played."""

    def __init__(self, world: World[Any]) -> None:
        self.world, self.slow_baselines = world, world.slow_baselines

    def play(
        self, act: Act, episodes: int, seed: int, report_progress: Count | None = None
    ) -> EvaluatedEpisodes:
        """Play one episode on each seed, as :class:`EnvironmentCopies` does."""
        return play_world_episodes(self.world, act, episodes, seed, report_progress)

    def close(self) -> None:
        """Do nothing: a world holds nothing."""


class EnvironmentCopies:
    """Copies of a Gymnasium environment that play batch after batch.

    Args:
        env_id: id of the environment.
        env_kwargs: its arguments.
        longest: the steps after which an episode is cut off where no longer limit is known.
    """

    most_together = COPIES
    least = LEAST_SINGLE
    slow_baselines: frozenset[str] = frozenset()

    def __init__(
        self, env_id: str, env_kwargs: Mapping[str, Any], longest: int = MOST_STEPS
    ) -> None:
        self._env_id, self._env_kwargs, self._longest = env_id, dict(env_kwargs), longest
        self._env: VectorEnv[Any, Any, Any] | None = None
        self._count = self._most_steps = 0

    def play(
        self, act: Act, episodes: int, seed: int, report_progress: Count | None = None
    ) -> EvaluatedEpisodes:
        """Play one episode on each seed.

        Args:
            act: the player.
            episodes: the number of seeds.
            seed: the first of them.
            report_progress: called with the finished episodes and the steps so far.
        """
        # The same copies for all players, and for batches of one size: making a physics environment
        # can take longer than an episode in it.
        if self._env is None or self._count != episodes:
            self.close()
            self._env = make_vector_env(self._env_id, self._env_kwargs, episodes)
            self._count = episodes
            self._most_steps = self._find_most_steps(self._env)
        # Of games of several agents a row, and a seed of actions, for each agent.
        _start_episodes(act, self._env.num_envs, seed * count_agents(self._env))

        def choose(present: Array | None, observations: object) -> Any:
            if isinstance(act, PolicyPlayer):
                act.present = present
            return act(None, observations, None)

        returns, lengths = measure_returns(
            self._env, choose, seed, report_progress, self._most_steps
        )
        joined = join_agents(self._env, returns, lengths)
        joined.cut_off = int((joined.lengths >= self._most_steps).sum())
        return joined

    def _find_most_steps(self, env: VectorEnv[Any, Any, Any]) -> int:
        """Return the steps after which an episode is cut off, more than any limit of its own."""
        arguments = list_arguments(self._env_id, self._env_kwargs)
        # Many environments take their limit as an argument of some name and say it nowhere else.
        # To take another number for a limit costs time, and only where an episode has no end.
        long = (v for v in arguments.values() if type(v) is int and v >= self._longest)
        limits = [limit for limit in long if limit <= LONGEST_LIMIT]
        own = arguments.get("max_episode_steps") or find_env_spec(self._env_id).max_episode_steps
        known = (own, find_time_limit(env), *limits)
        return max([self._longest, *(limit + 1 for limit in known if limit)])

    def close(self) -> None:
        """Close the copies, if there are any."""
        if self._env is not None:
            self._env.close()
            self._env = None


def join_agents(env: Any, returns: Array, lengths: Array) -> EvaluatedEpisodes:
    """Return the episodes of an environment; of a game of several agents its score is their sum."""
    agents = count_agents(env)
    if agents == 1:
        return EvaluatedEpisodes({PLAIN_SCORE: returns}, lengths=lengths)
    each = returns.reshape(-1, agents)
    names = env.unwrapped.agents
    metrics = {PLAIN_SCORE: each.sum(1)} | {
        f"return.{agent}": each[:, a] for a, agent in enumerate(names)
    }
    return EvaluatedEpisodes(metrics, lengths=lengths.reshape(-1, agents).max(1))


def summarise_gym_episodes(episodes: EvaluatedEpisodes) -> dict[str, float]:
    """Return the figures of an environment without a batched world."""
    returns = episodes.metrics[PLAIN_SCORE]
    agents = {n: float(r.mean()) for n, r in episodes.metrics.items() if n != PLAIN_SCORE}
    return {"return_mean": float(returns.mean()), "return_std": float(returns.std()), **agents}


class PolicyPlayer:
    """Acts in batches of episodes that begin together.

    Args:
        policy: the policy.
        greedy: the most likely actions instead of sampled ones.
        generator: draws the actions; None: torch's own.
    """

    def __init__(
        self, policy: Policy, *, greedy: bool, generator: torch.Generator | None = None
    ) -> None:
        self.policy, self.greedy, self.generator = policy, greedy, generator
        self.state: State = {}
        self.present: Array | None = None
        """Rows [N] whose agents are in their game; None: all."""

    def start_episodes(self, count: int) -> None:
        """Forget the episodes before; ``count`` new ones begin."""
        self.state, self.present = self.policy.initial_state(count), None

    def __call__(self, world_state: object, observations: object, keys: object) -> Any:
        """Return the actions [N] for observations [N]."""
        actions, after = self.policy.act_batch(
            observations, self.state, greedy=self.greedy, generator=self.generator
        )
        # No row forgets its episode at the end: of each the first one alone counts.
        self.state = carry_state(after, self.state, self.present)
        return actions


def make_sampled_player(policy: Policy, seed: int) -> Act:
    """Return the policy as it acts in training: its actions are sampled."""
    # A generator of its own: evaluating must not move the random numbers of training.
    generator = torch.Generator().manual_seed(seed)
    return PolicyPlayer(policy, greedy=False, generator=generator)


class RandomPlayer:
    """Draws every action uniformly from a space, among the legal ones if there is a mask.

    Each episode has a random stream of its own: its actions are the same in a batch of any size,
    and no two episodes share any.

    Args:
        space: the action space of one row.
    """

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        self.space = space
        self._own: list[gymnasium.Space[Any]] = []

    def start_episodes(self, count: int, first: int) -> None:
        """Begin ``count`` rows of episodes, with streams of the seeds from ``first``."""
        # Copies: seeding the shared space would change what others draw.
        self._own = [copy.deepcopy(self.space) for _ in range(count)]
        for seed, own in enumerate(self._own, first):
            # Not the seed itself: a space and an environment seeded alike draw the same numbers.
            own.seed(counter_rng.derive_seed(seed, "actions"))

    def __call__(self, world_state: object, observations: object, keys: object) -> Any:
        """Return the actions [N] for observations [N]."""
        mask = observations.get(MASK_PART) if isinstance(observations, Mapping) else None
        if mask is None or not is_mask_of(self.space, mask[0]):
            mask = [None] * len(self._own)
        drawn = [sample_legal(own, legal) for own, legal in zip(self._own, mask, strict=True)]
        return vector_utils.concatenate(
            self.space, drawn, vector_utils.create_empty_array(self.space, len(drawn))
        )
