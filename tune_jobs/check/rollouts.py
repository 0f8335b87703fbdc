"""Episodes of random play from given seeds, one copy at a time or, in our worlds, all at once."""

from __future__ import annotations

import dataclasses
import time
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from algos.models.base import MASK, to_observation_columns
from envs import counter_rng
from envs.action_masks import find_mask
from envs.checking.env_checker import take_masked
from envs.pytree import take
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.random_agents import (
    ConstantActor,
    RandomActor,
    RandomRule,
    Scale,
    stack_actions,
    vector,
)

Array = np.ndarray[Any, Any]

STEPS = 1000
"""Longest episode that is played."""
KEPT, ENTRIES = 4000, 2**23
"""Observations that are kept, and entries of them all together: images are large."""


@dataclasses.dataclass(frozen=True)
class EpisodePlan:
    """What an episode is to be."""

    seed: int
    """Of the environment."""
    actions: int
    """Seed of the actions: the same plan gives the same actions where the same are legal."""
    noise: int | None = None
    """Seed of the randomness after the start; None leaves that to the environment's own seed."""


class KeptObservations:
    """Observations of one copy each as columns, evenly from all that were noted."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Array]] = []
        self.every, self.noted, self.size = 1, 0, 0

    def note(self, columns: Mapping[str, Array]) -> None:
        """Keep the observation, or leave it out so that there is room for later ones."""
        if self.noted % self.every == 0:
            self.rows.append({name: part.copy() for name, part in columns.items()})
            self.size = max(self.size, sum(part.size for part in columns.values()))
            if len(self.rows) > 2 and len(self.rows) > min(KEPT, ENTRIES // max(self.size, 1)):
                self.rows, self.every = self.rows[::2], 2 * self.every
        self.noted += 1


@dataclasses.dataclass
class Episode:
    """What happened."""

    rewards: list[float] = dataclasses.field(default_factory=list[float])
    """One a step."""
    end: str = ""
    """``terminated``, ``truncated``, or empty where the episode was left before it ended."""
    observation_checksum: int = 0
    """Checksum of all observations."""

    @property
    def episode_return(self) -> float:
        """The return."""
        return float(sum(self.rewards))


def play_episodes(
    subject: CheckTarget,
    plans: Sequence[EpisodePlan],
    seconds: float = np.inf,
    steps: int = STEPS,
    observations: KeptObservations | None = None,
    constant: Any = None,
    scale: Scale | None = None,
) -> list[Episode]:
    """Play the plans in turn until the time is up; what was finished, in their order.

    ``observations`` collects observations, as columns of one copy each. With ``constant`` that is
    done in every step; with ``scale``, the size of observations, the plans are for rules
    (``RandomRule``).
    """
    deadline = time.monotonic() + seconds

    def actor(space: Any, plan: EpisodePlan) -> Any:
        if constant is not None:
            return ConstantActor(space, constant)
        return RandomRule(space, plan.actions, scale) if scale else RandomActor(space, plan.actions)

    if subject.world is not None:
        actors = [actor(subject.world.action_space, plan) for plan in plans]
        return _batched(subject.world, plans, actors, deadline, steps, observations)
    env = subject.make_env()
    found: list[Episode] = []
    try:
        for plan in plans:
            own = actor(env.action_space, plan)
            episode = _single(subject, env, plan, own, deadline, steps, observations)
            if found and time.monotonic() > deadline and not episode.end:
                break
            found.append(episode)
            if time.monotonic() > deadline:
                break
    finally:
        env.close()
    return found


def _single(
    subject: CheckTarget,
    env: Any,
    plan: EpisodePlan,
    actor: Any,
    deadline: float,
    steps: int,
    kept: KeptObservations | None,
) -> Episode:
    observation, info = env.reset(seed=plan.seed)
    if plan.noise is not None:
        own = counter_rng.derive_seed(plan.noise, "fresh noise")
        env.unwrapped.np_random = np.random.default_rng(own)
    episode = Episode()
    columns = _record_observation(observation, episode, kept)
    # However long the reset took, an episode has a step.
    while not episode.rewards or (len(episode.rewards) < steps and time.monotonic() < deadline):
        mask = find_mask(env, observation, info) if subject.unread_mask else None
        if mask is not None and subject.illegal_raises:
            columns |= {MASK: mask.legal}
        action = actor.act(columns)
        observation, reward, terminated, truncated, info = (
            take_masked(env, action, len(episode.rewards) + 1, mask) if mask else env.step(action)
        )
        columns = _record_observation(observation, episode, kept)
        episode.rewards.append(float(reward))
        if terminated or truncated:
            episode.end = "terminated" if terminated else "truncated"
            break
    return episode


def _record_observation(
    observation: Any, episode: Episode, kept: KeptObservations | None
) -> dict[str, Array]:
    found = {name: np.asarray(part) for name, part in to_observation_columns(observation).items()}
    for part in found.values():
        # -0.0 is 0.0, though not byte by byte.
        same = part + 0.0 if np.issubdtype(part.dtype, np.floating) else part
        episode.observation_checksum = zlib.crc32(same.tobytes(), episode.observation_checksum)
    if kept is not None:
        kept.note(found)
    return found


def _batched(
    world: Any,
    plans: Sequence[EpisodePlan],
    actors: list[Any],
    deadline: float,
    steps: int,
    kept: KeptObservations | None,
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
            _record_observation(take(observation, b), e, kept) if not e.end else {}
            for b, e in enumerate(episodes)
        ]
        if all(e.end for e in episodes) or (step and time.monotonic() > deadline):
            break
        for b, row in enumerate(rows):
            done[b] = actors[b].act(row) if row else done[b]
        moved = world.step(state, stack_actions(done))
        state, observation = moved.state, moved.observation
        for b, episode in enumerate(episodes):
            if not episode.end:
                episode.rewards.append(float(moved.reward[b]))
                ends = {"terminated": moved.terminated[b], "truncated": moved.truncated[b]}
                episode.end = next((name for name, over in ends.items() if over), "")
    return episodes


@dataclasses.dataclass
class RandomPlay:
    """Episodes, what was seen in them, and how fast that went."""

    episodes: list[Episode]
    observations: list[Mapping[str, Array]]
    """Observation columns of one copy each."""
    steps_per_s: float
    """Steps in a second."""

    @cached_property
    def scale(self) -> Scale | None:
        """Mean and standard deviation of each entry observed; None if not all are numbers."""
        seen = np.stack([vector(columns) for columns in self.observations])
        if not np.issubdtype(seen.dtype, np.number):
            return None
        seen = seen.astype(np.float64)
        std = seen.std(0)
        return seen.mean(0), np.where(std > 0, std, 1.0)


def sample_random_play(subject: CheckTarget, seconds: float) -> RandomPlay:
    """Random play from as many starts as there is time for; played once for all probes."""
    if "sample" not in subject.probe_cache:
        observed = KeptObservations()
        plans = [EpisodePlan(seed, seed) for seed in range(256)]
        started = time.monotonic()
        episodes = play_episodes(subject, plans[:1], seconds / 4, observations=observed)
        episodes += play_episodes(subject, plans[1:], seconds * 3 / 4, observations=observed)
        steps = sum(len(episode.rewards) for episode in episodes)
        speed = steps / max(time.monotonic() - started, 1e-6)
        subject.probe_cache["sample"] = RandomPlay(episodes, observed.rows, speed)
    return subject.probe_cache["sample"]
