"""Play episodes of random actions from given seeds, one copy at a time or batched."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import gymnasium
import numpy as np

from algos.models.base import to_observation_columns
from algos.rollouts.episodes import EnvStep, EpisodeStep, play_episodes, start_env, step_env
from envs.contract import counter_rng
from envs.contract.batched import World
from envs.contract.pytree import take
from envs.contract.violations import Clock
from envs.contract.world import Step
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.random_agents import (
    Actor,
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


class FixedNoiseError(Exception):
    """The random generator of the environment (``np_random``) cannot be set."""


class ObservationSample:
    """An even sample of all observations seen, as columns of one copy each."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Array]] = []
        self.every, self.seen, self.size = 1, 0, 0
        self.moved: dict[str, Array] = {}
        """Whether each entry of a column ever differed from that of the first observation."""

    def add(self, columns: Mapping[str, Array]) -> None:
        """Store the observation, or skip it so that later ones fit."""
        for name, part in columns.items():
            # All observations are compared: a sample of every second one misses a cycle of two.
            moved = self.moved.setdefault(name, np.zeros(part.shape, np.bool_))
            if self.rows and part.shape == moved.shape:
                moved |= part != self.rows[0][name]
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


def play_plans(
    target: CheckTarget,
    plans: Sequence[EpisodePlan],
    seconds: float = np.inf,
    steps: int = STEPS,
    observations: ObservationSample | None = None,
    constant: object = None,
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
        scale: scale of the observations, for actors that are functions of them: `RandomRule`.

    Raises:
        FixedNoiseError: if a plan asks for noise of its own and the environment allows none.
    """
    deadline = target.clock() + seconds

    def make_actor(space: gymnasium.Space[Any], plan: EpisodePlan) -> Actor:
        if constant is not None:
            return ConstantActor(space, plan.actions, constant)
        return RandomRule(space, plan.actions, scale) if scale else RandomActor(space, plan.actions)

    world = target.world
    if world is not None:
        batch = PlayedBatch([make_actor(world.action_space, plan) for plan in plans], observations)
        batch.play(_start_world(world, plans), world.step, deadline, target.clock, steps)
        return batch.episodes
    env = target.make_env()
    episodes: list[Episode] = []
    try:
        for plan in plans:
            batch = PlayedBatch([make_actor(env.action_space, plan)], observations, is_single=True)
            start = start_env(env, plan.seed)
            if plan.noise is not None:
                # After the reset, so that the start is the seed's and only what follows is random.
                _set_noise(env, plan.noise)
            batch.play(start, step_env(env), deadline, target.clock, steps)
            # The first episode is kept even if it is incomplete: the probes need some observation.
            if episodes and target.clock() > deadline and not batch.episodes[0].end:
                break
            episodes += batch.episodes
            if target.clock() > deadline:
                break
    finally:
        env.close()
    return episodes


def _set_noise(env: gymnasium.Env[Any, Any], noise: int) -> None:
    """Give an environment the randomness of this seed.

    Raises:
        FixedNoiseError: its generator cannot be set.
    """
    generator = np.random.default_rng(counter_rng.derive_seed(noise, "fresh noise"))
    try:
        current: Any = env.unwrapped.np_random
        if not isinstance(current, np.random.Generator):  # it has other methods
            raise FixedNoiseError(f"it is a {type(current).__name__}")
        env.unwrapped.np_random = generator
    except AttributeError as error:
        raise FixedNoiseError(str(error)) from error


def _start_world(world: World[Any], plans: Sequence[EpisodePlan]) -> tuple[Any, Any]:
    """Return state and observation of the start of these plans."""
    make_keys = counter_rng.make_keys_from_seeds
    state, observation = world.reset(make_keys(np.array([p.seed for p in plans], np.uint64)))
    if plans[0].noise is not None:
        keys = make_keys(np.array([plan.noise for plan in plans], np.uint64))
        state = dataclasses.replace(state, keys=keys)
    return state, observation


class PlayedBatch:
    """Episodes that are played together, each by an actor of its own.

    Args:
        actors: the actor of each episode.
        sample: collects the observations, if given.
        is_single: whether they are one episode of a single environment, whose observations and
            actions have no axis [B].
    """

    def __init__(
        self, actors: Sequence[Actor], sample: ObservationSample | None, is_single: bool = False
    ) -> None:
        self.episodes = [Episode() for _ in actors]
        self._actors, self._sample, self._is_single = actors, sample, is_single
        self._columns: list[dict[str, Array]] = [{} for _ in actors]
        self._actions: list[Any] = [None] * len(actors)

    def play(
        self,
        start: tuple[Any, Any],
        step: Callable[[Any, Any], Step[Any] | EnvStep],
        deadline: float,
        clock: Clock,
        steps: int,
    ) -> None:
        """Play until all episodes have ended, or the deadline or this many steps are reached."""
        for b in range(len(self.episodes)):
            self._observe(start[1], b, self._sample)
        # An episode has at least one step, however long the reset took.
        for moved in play_episodes(start, step, self._act, steps):
            self._record(moved)
            if moved.left and clock() >= deadline:
                break

    def _act(self, state: object, observation: object, number: int) -> Any:
        # An ended copy repeats its last action, to keep the size; its rewards are ignored.
        for b, episode in enumerate(self.episodes):
            if not episode.end:
                self._actions[b] = self._actors[b].act(self._columns[b])
        return self._actions[0] if self._is_single else stack_actions(self._actions)

    def _record(self, step: EpisodeStep) -> None:
        moved, running, ended = step.moved, [0], [not step.left]
        rewards, terminated = [moved.reward], [moved.terminated]
        if not self._is_single:
            running, ended = np.flatnonzero(step.running).tolist(), step.ended
            rewards, terminated = moved.reward, moved.terminated
        for b in running:
            episode = self.episodes[b]
            episode.action_keys.append(compute_key(to_named_arrays(self._actions[b])))
            episode.rewards.append(float(rewards[b]))
            if ended[b]:
                episode.end = "terminated" if terminated[b] else "truncated"
            # No world's policy acts on a final observation, whose mask may allow nothing.
            is_shown = self._is_single or not ended[b]
            self._observe(moved.observation, b, self._sample if is_shown else None)

    def _observe(self, observation: object, b: int, sample: ObservationSample | None) -> None:
        columns = to_named_arrays(observation if self._is_single else take(observation, b))
        key, episode = compute_key(columns), self.episodes[b]
        episode.observation_keys.append(key)
        episode.observation_checksum = zlib.crc32(key.to_bytes(4), episode.observation_checksum)
        if sample is not None:
            sample.add(columns)
        self._columns[b] = columns


def to_named_arrays(value: object) -> dict[str, Array]:
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


@dataclasses.dataclass
class RandomPlay:
    """Episodes of random play, their observations and the speed."""

    episodes: list[Episode]
    observations: list[Mapping[str, Array]]
    """Observation columns of one copy each."""
    steps_per_s: float
    """Steps per second."""
    moved: Mapping[str, Array] = dataclasses.field(default_factory=dict[str, Array])
    """Whether each entry of a column ever differed from that of the first observation."""

    @cached_property
    def scale(self) -> Scale | None:
        """Mean and standard deviation of each entry of the finite observations.

        None if there is none, or an entry is not a number.
        """
        # A mean and spread exist for numbers only; text observations have no scale.
        vectors = np.stack([flatten_observation(columns) for columns in self.observations])
        if not np.issubdtype(vectors.dtype, np.number):
            return None
        vectors = vectors.astype(np.float64)
        vectors = vectors[np.isfinite(vectors).all(1)]
        if not len(vectors):
            return None
        std = vectors.std(0)
        return vectors.mean(0), np.where(std > 0, std, 1.0)


def sample_random_play(target: CheckTarget, seconds: float) -> RandomPlay:
    """Play random episodes from as many starts as the time allows; cached for all probes."""
    if "sample" not in target.probe_cache:
        observed = ObservationSample()
        plans = [EpisodePlan(seed, seed) for seed in range(256)]
        started = target.clock()
        # The first episode alone, because one long episode must not take the time of all others.
        episodes = play_plans(target, plans[:1], seconds / 4, observations=observed)
        episodes += play_plans(target, plans[1:], seconds * 3 / 4, observations=observed)
        steps = sum(len(episode.rewards) for episode in episodes)
        speed = steps / max(target.clock() - started, 1e-6)
        target.probe_cache["sample"] = RandomPlay(episodes, observed.rows, speed, observed.moved)
    return target.probe_cache["sample"]
