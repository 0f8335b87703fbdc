"""Play episodes of random actions from given seeds, one copy at a time or batched."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from algos.models.base import to_observation_columns
from envs import counter_rng
from envs.checking.guarded_calls import Clock
from envs.pytree import take
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.random_agents import (
    ConstantActor,
    RandomActor,
    RandomRule,
    Scale,
    flatten_observation,
    stack_actions,
)

Array = np.ndarray[Any, Any]

STEPS = 1000
"""Maximum length of an episode."""
MAX_OBSERVATIONS, MAX_ENTRIES = 4000, 2**23
"""Maximum number of stored observations, and of their entries together: images are large."""


@dataclasses.dataclass(frozen=True)
class EpisodePlan:
    """Seeds of one episode."""

    seed: int
    """Seed of the environment."""
    actions: int
    """Seed of the actions: the same plan gives the same actions where the same are legal."""
    noise: int | None = None
    """Seed of the randomness after the start; None leaves that to the environment's own seed."""


class ObservationSample:
    """An even sample of all observations seen, as columns of one copy each."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Array]] = []
        self.every, self.seen, self.size = 1, 0, 0

    def add(self, columns: Mapping[str, Array]) -> None:
        """Store the observation, or skip it so that later ones fit."""
        # The length of the play is unknown beforehand: when the sample is full, every second entry
        # is dropped and the interval doubled, which keeps the sample even.
        if self.seen % self.every == 0:
            self.rows.append({name: part.copy() for name, part in columns.items()})
            self.size = max(self.size, sum(part.size for part in columns.values()))
            if len(self.rows) > 2 and len(self.rows) > min(
                MAX_OBSERVATIONS, MAX_ENTRIES // max(self.size, 1)
            ):
                self.rows, self.every = self.rows[::2], 2 * self.every
        self.seen += 1


@dataclasses.dataclass
class Episode:
    """Rewards and end of one episode."""

    rewards: list[float] = dataclasses.field(default_factory=list[float])
    """One reward per step."""
    end: str = ""
    """``terminated``, ``truncated``, or empty if the episode was left before its end."""
    observation_checksum: int = 0
    """Checksum of all observations."""
    observation_keys: list[int] = dataclasses.field(default_factory=list[int])
    """Checksum of each observation, equal where observations are; the first is that of the start,
    and each step adds one."""
    action_keys: list[int] = dataclasses.field(default_factory=list[int])
    """Checksum of the action of each step."""

    @property
    def episode_return(self) -> float:
        """Sum of the rewards."""
        return float(sum(self.rewards))


def play_episodes(
    target: CheckTarget,
    plans: Sequence[EpisodePlan],
    seconds: float = np.inf,
    steps: int = STEPS,
    observations: ObservationSample | None = None,
    constant: Any = None,
    scale: Scale | None = None,
) -> list[Episode]:
    """Play the plans in turn until the time is up; return the finished episodes in their order.

    Args:
        target: the environment.
        plans: seeds of the episodes.
        seconds: time limit.
        steps: maximum length of an episode.
        observations: collects the observations, if given.
        constant: an action to take in every step instead of random ones.
        scale: scale of the observations; if given, the actors are random functions of them
    (:class:`RandomRule`).
    """
    deadline = target.clock() + seconds

    def actor(space: Any, plan: EpisodePlan) -> Any:
        if constant is not None:
            return ConstantActor(space, constant)
        return RandomRule(space, plan.actions, scale) if scale else RandomActor(space, plan.actions)

    if target.world is not None:
        actors = [actor(target.world.action_space, plan) for plan in plans]
        return _play_batched(
            target.world, plans, actors, deadline, target.clock, steps, observations
        )
    env = target.make_env()
    episodes: list[Episode] = []
    try:
        for plan in plans:
            generator = actor(env.action_space, plan)
            episode = _play_single(
                env, plan, generator, deadline, target.clock, steps, observations
            )
            # The first episode is kept even if it is incomplete: the probes need some observation.
            if episodes and target.clock() > deadline and not episode.end:
                break
            episodes.append(episode)
            if target.clock() > deadline:
                break
    finally:
        env.close()
    return episodes


def _play_single(
    env: Any,
    plan: EpisodePlan,
    actor: Any,
    deadline: float,
    clock: Clock,
    steps: int,
    sample: ObservationSample | None,
) -> Episode:
    observation, _ = env.reset(seed=plan.seed)
    if plan.noise is not None:
        generator = counter_rng.derive_seed(plan.noise, "fresh noise")
        # After the reset, so that the start is the seed's and only what follows is random.
        env.unwrapped.np_random = np.random.default_rng(generator)
    episode = Episode()
    columns = _record_observation(observation, episode, sample)
    # An episode has at least one step, however long the reset took.
    while not episode.rewards or (len(episode.rewards) < steps and clock() < deadline):
        action = actor.act(columns)
        observation, reward, terminated, truncated, _ = env.step(action)
        columns = _record_observation(observation, episode, sample)
        episode.action_keys.append(compute_key(to_named_arrays(action)))
        episode.rewards.append(float(reward))
        if terminated or truncated:
            episode.end = "terminated" if terminated else "truncated"
            break
    return episode


def _record_observation(
    observation: Any, episode: Episode, sample: ObservationSample | None
) -> dict[str, Array]:
    columns = to_named_arrays(observation)
    key = compute_key(columns)
    episode.observation_keys.append(key)
    episode.observation_checksum = zlib.crc32(key.to_bytes(4), episode.observation_checksum)
    if sample is not None:
        sample.add(columns)
    return columns


def to_named_arrays(value: Any) -> dict[str, Array]:
    """Return an observation or an action as arrays by name."""
    return {name: np.asarray(part) for name, part in to_observation_columns(value).items()}


def compute_key(columns: Mapping[str, Array]) -> int:
    """Return a checksum of arrays, the same for equal ones."""
    key = 0
    for part in columns.values():
        # -0.0 equals 0.0 but has other bytes.
        same = part + 0.0 if np.issubdtype(part.dtype, np.floating) else part
        key = zlib.crc32(same.tobytes(), key)
    return key


def _play_batched(
    world: Any,
    plans: Sequence[EpisodePlan],
    actors: list[Any],
    deadline: float,
    clock: Clock,
    steps: int,
    sample: ObservationSample | None,
) -> list[Episode]:
    state, observation = world.reset(
        counter_rng.make_keys_from_seeds(np.array([p.seed for p in plans], np.uint64))
    )
    if plans and plans[0].noise is not None:
        keys = counter_rng.make_keys_from_seeds(np.array([plan.noise for plan in plans], np.uint64))
        state = dataclasses.replace(state, keys=keys)
    episodes, done = [Episode() for _ in plans], [None] * len(plans)
    for step in range(steps):
        rows = [
            _record_observation(take(observation, b), e, sample) if not e.end else {}
            for b, e in enumerate(episodes)
        ]
        if all(e.end for e in episodes) or (step and clock() > deadline):
            break
        for b, row in enumerate(rows):
            # An ended copy repeats its last action: the batch keeps its size, and its rewards are
            # ignored.
            done[b] = actors[b].act(row) if row else done[b]
        stepped = world.step(state, stack_actions(done))
        state, observation = stepped.state, stepped.observation
        for b, episode in enumerate(episodes):
            if not episode.end:
                episode.action_keys.append(compute_key(to_named_arrays(done[b])))
                episode.rewards.append(float(stepped.reward[b]))
                ends = {"terminated": stepped.terminated[b], "truncated": stepped.truncated[b]}
                episode.end = next((name for name, over in ends.items() if over), "")
    return episodes


@dataclasses.dataclass
class RandomPlay:
    """Episodes of random play, their observations and the speed."""

    episodes: list[Episode]
    observations: list[Mapping[str, Array]]
    """Observation columns of one copy each."""
    steps_per_s: float
    """Steps per second."""

    @cached_property
    def scale(self) -> Scale | None:
        """Mean and standard deviation of each entry observed; None if any is not a number."""
        # A mean and spread exist for numbers only; text observations have no scale.
        seen = np.stack([flatten_observation(columns) for columns in self.observations])
        if not np.issubdtype(seen.dtype, np.number):
            return None
        seen = seen.astype(np.float64)
        std = seen.std(0)
        return seen.mean(0), np.where(std > 0, std, 1.0)


def sample_random_play(target: CheckTarget, seconds: float) -> RandomPlay:
    """Play random episodes from as many starts as the time allows; cached for all probes."""
    if "sample" not in target.probe_cache:
        observed = ObservationSample()
        plans = [EpisodePlan(seed, seed) for seed in range(256)]
        started = target.clock()
        # The first episode alone, because one long episode must not take the time of all others.
        episodes = play_episodes(target, plans[:1], seconds / 4, observations=observed)
        episodes += play_episodes(target, plans[1:], seconds * 3 / 4, observations=observed)
        steps = sum(len(episode.rewards) for episode in episodes)
        speed = steps / max(target.clock() - started, 1e-6)
        target.probe_cache["sample"] = RandomPlay(episodes, observed.rows, speed)
    return target.probe_cache["sample"]
