"""Players, and the episodes that they play: policies, random actions and simple rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from algos.environments import make_vector_env
from algos.episode_returns import episode_returns
from envs import random
from envs.arrays import concatenated, take
from envs.batched import World

Array = np.ndarray[Any, Any]

Act = Callable[[Any, Any, Any], Any]
"""(state or None, observations [N], keys [N] or None) -> actions [N]."""

Count = Callable[[int], None]
"""Takes how many episodes have finished."""

PLAIN_SCORE = "return"
"""Episode metric of an environment that is not ours."""


@dataclass
class Episodes:
    """N finished episodes of one player, one a seed."""

    metrics: dict[str, Array]
    """Episode metric -> [N]."""
    traces: Array | None = None
    """Loss per node after 0..T interventions, averaged over seeds: [T + 1, n]."""
    choices: Array = field(default_factory=lambda: np.zeros(0))
    """How often each choice was taken; empty where there are none."""
    actions: list[Any] = field(default_factory=list[Any])
    """What was done at each step, [N]."""
    lengths: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """[N]: how many steps each had."""

    def __len__(self) -> int:
        return len(next(iter(self.metrics.values())))

    @property
    def choice_shares(self) -> list[float]:
        """How often each choice was taken, as shares; empty where there are none."""
        total = self.choices.sum()
        return (self.choices / total).tolist() if total else []


def joined(parts: Sequence[Episodes]) -> Episodes:
    """The episodes of several batches of one player as those of one batch.

    A batch that was over sooner repeats its last action and its last losses: its episodes had ended
    by then.
    """
    if len(parts) == 1:
        return parts[0]
    steps = max(len(part.actions) for part in parts)
    actions = [
        concatenated(*(part.actions[min(t, len(part.actions) - 1)] for part in parts))
        for t in range(steps)
    ]
    return Episodes(
        {name: np.concatenate([p.metrics[name] for p in parts]) for name in parts[0].metrics},
        _mean_traces(parts),
        np.sum([part.choices for part in parts], axis=0),
        actions,
        np.concatenate([part.lengths for part in parts]),
    )


def _mean_traces(parts: Sequence[Episodes]) -> Array | None:
    traces = [part.traces for part in parts if part.traces is not None]
    if not traces:
        return None
    longest = max(map(len, traces))
    padded = [np.pad(t, ((0, longest - len(t)), (0, 0)), "edge") for t in traces]
    return np.average(padded, axis=0, weights=[len(part) for part in parts])


def play_world(
    world: World[Any], act: Act, episodes: int, seed: int, tell: Count | None = None
) -> Episodes:
    """Play one episode on each of the seeds from ``seed`` in a batch of one of our worlds."""
    keys = random.keys(seed, episodes)
    state, observation = world.reset(keys)
    ended = np.zeros(episodes, bool)
    metrics: dict[str, Array] = {}
    traces: list[Array] = []
    counts = np.zeros(len(world.choice_names))
    actions: list[Any] = []
    lengths = np.zeros(episodes, np.int64)
    _trace(traces, world, state)
    while not ended.all():
        action = act(state, observation, random.fold(keys, len(actions) + 2**20))
        actions.append(action)
        lengths += ~ended
        choice = action["choice"] if isinstance(action, Mapping) else action
        if len(counts):
            counts += np.bincount(np.asarray(choice)[~ended], minlength=len(counts))
        moved = world.step(state, action)
        fresh = (moved.terminated | moved.truncated) & ~ended
        for name in world.episode_metrics:
            metrics.setdefault(name, np.zeros(episodes))[fresh] = moved.info[name][fresh]
        if fresh.any():
            for name, figures in world.examined(take(moved.state, fresh)).items():
                metrics.setdefault(name, np.zeros(episodes))[fresh] = figures
        _trace(traces, world, moved.state)
        ended |= fresh
        if tell and fresh.any():
            tell(int(ended.sum()))
        state, observation = moved.state, moved.observation
    losses = np.stack(traces) if traces else None
    return Episodes(metrics, losses, counts, actions, lengths)


def _trace(traces: list[Array], world: World[Any], state: Any) -> None:
    """Note the mean loss per node, in worlds that have nodes to be learnt."""
    if (losses := world.node_losses(state)) is not None:
        traces.append(losses.mean(0))


def play_together(
    world: World[Any],
    players: Mapping[str, Act],
    episodes: int,
    seed: int,
    tell: Callable[[str, int], None],
) -> dict[str, Episodes]:
    """Play one episode on each seed with every player, in one of our worlds."""
    return {
        name: play_world(world, act, episodes, seed, partial(tell, name))
        for name, act in players.items()
    }


def play_plain(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    players: Mapping[str, Act],
    episodes: int,
    seed: int,
    tell: Callable[[str, int], None] | None = None,
) -> dict[str, Episodes]:
    """Play one episode on each seed with every player, one after the other in the same copies."""
    env = make_vector_env(env_id, dict(env_kwargs), episodes)
    found: dict[str, Episodes] = {}
    try:
        for name, act in players.items():
            say = None if tell is None else lambda done, name=name: tell(name, done)
            returns, lengths = episode_returns(
                env, lambda o, act=act: act(None, o, None), seed, say
            )
            found[name] = Episodes({PLAIN_SCORE: returns}, lengths=lengths)
    finally:
        env.close()
    return found


def plain_summary(episodes: Episodes) -> dict[str, float]:
    """The figures of an environment that is not ours."""
    returns = episodes.metrics[PLAIN_SCORE]
    return {"return_mean": float(returns.mean()), "return_std": float(returns.std())}


def random_player(space: gymnasium.Space[Any], seed: int) -> Act:
    """Draw every action uniformly from a space."""
    batched: dict[int, gymnasium.Space[Any]] = {}
    # Not the seed itself: a space and an environment that are seeded alike draw the same numbers.

    def act(state: Any, observations: Any, keys: Any) -> Any:
        count = len(_first(observations))
        if count not in batched:
            batched[count] = gymnasium.vector.utils.batch_space(space, count)
            batched[count].seed(random.derived_seed(seed, "actions"))
        return batched[count].sample()

    return act


def _first(observations: Any) -> Any:
    """Any one part of a batch of observations."""
    while isinstance(observations, Mapping | tuple):
        parts: Any = observations.values() if isinstance(observations, Mapping) else observations
        observations = next(iter(parts))
    return observations
