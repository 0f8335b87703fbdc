"""Two ways to act, played twice each from more and more starts."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from algos.models.base import to_observation_columns
from envs import counter_rng
from envs.pytree import take
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.random_agents import RandomActor, stack_actions
from tune_jobs.check.rollouts import STEPS, Episode, EpisodePlan, play_episodes, sample_random_play
from tune_jobs.check.statistics import PairedTest, run_paired_test

LOOKS = (16, 64, 256, 1024, 2048, 4096)
"""Starts after which it is judged; more are played only if they are needed and there is time."""
LEVEL = 0.05 / len(LOOKS)
"""Significance level of a look, so that all of them together have 5 %."""
MIN_PAID_STARTS = 8
"""Starts that must have paid something before the reward can be called blind."""
NEGLIGIBLE = 0.08
"""Share of variance: one that is larger must have been detectable before anything is said."""
SAME = 64
"""Starts that paid something, without a single difference, after which there is none."""
COPIES, TRIED = 64, 6
"""States that are tried: so many copies at each of so many steps."""


def play_until_clear(
    subject: CheckTarget, seconds: float, fresh: bool
) -> tuple[list[list[Episode]], PairedTest]:
    """Play more and more starts until the answer is clear or the time is up."""
    deadline = time.monotonic() + seconds
    # The first look should take no more than half of the time.
    scale = sample_random_play(subject, seconds).scale if fresh else None
    possible = seconds * sample_random_play(subject, seconds).steps_per_s / (8 * LOOKS[0])
    length = int(np.clip(possible, 20, STEPS))
    starts: list[list[Episode]] = []
    pairs = run_paired_test(np.zeros((0, 2, 2)))
    for look in LOOKS:
        plans = [
            _plan(s, way, again, fresh)
            for s in range(len(starts), look)
            for way in (0, 1)
            for again in (0, 1)
        ]
        found = play_episodes(subject, plans, deadline - time.monotonic(), length, scale=scale)
        whole = [e for e in found if e.end or len(e.rewards) >= length]
        if len(whole) < len(found):
            found = found[: 4 * (len(found) // 4) - 4] if len(found) > 4 else []
        starts += [found[i : i + 4] for i in range(0, len(found) - 3, 4)]
        returns = np.array([[e.episode_return for e in four] for four in starts]).reshape(-1, 2, 2)
        pairs = run_paired_test(returns, LEVEL)
        clear = pairs.p_value <= LEVEL or (pairs.noisy == 0 and pairs.differing)
        if fresh:
            settled = pairs.detectable_fraction <= NEGLIGIBLE and pairs.p_value > 0.3
        else:
            settled = pairs.differing == 0 and count_informative_starts(starts) >= SAME
        if clear or settled or len(starts) < look or time.monotonic() > deadline:
            break
    return starts, pairs


def _plan(start: int, way: int, again: int, fresh: bool) -> EpisodePlan:
    # Neighbouring seeds of actions keep to them for different times, so that ways are different.
    actions = 5 * start + way * 2 + 1
    return EpisodePlan(start, actions, 4 * start + 2 * way + again if fresh else None)


def count_informative_starts(starts: list[list[Episode]]) -> int:
    """Starts that met another reward than the commonest, or another return."""
    every = [episode for start in starts for episode in start]
    if not every:
        return 0
    rewards, counts = np.unique([r for e in every for r in e.rewards], return_counts=True)
    returns, often = np.unique([e.episode_return for e in every], return_counts=True)
    reward, total = rewards[counts.argmax()], returns[often.argmax()]
    return sum(
        any(e.episode_return != total or any(r != reward for r in e.rewards) for e in s)
        for s in starts
    )


def figures(pairs: PairedTest) -> dict[str, Any]:
    """What there is to report of a test."""
    return {
        "starts": pairs.starts,
        "differing": pairs.differing,
        "variance_fraction": pairs.variance_fraction,
        "p": pairs.p_value,
        "detectable_fraction": pairs.detectable_fraction,
    }


def compare_immediate_rewards(world: Any) -> dict[str, PairedTest]:
    """Rewards of two actions from the same states, each tried twice.

    ``step`` with the state's own randomness, which makes the two tries equal; ``step_fresh_noise``
    with other randomness for each try, which shows how much of the reward is luck.
    """
    state, observation = world.reset(
        counter_rng.make_keys_from_seeds(np.arange(COPIES, dtype=np.uint64))
    )
    actors = [
        [RandomActor(world.action_space, 4 * (2 * b + way)) for b in range(COPIES)]
        for way in (0, 1)
    ]
    found: dict[str, list[Any]] = {"step": [], "step_fresh_noise": []}
    for step in range(TRIED):
        columns = to_observation_columns(observation)
        rows = [{name: c[b] for name, c in columns.items()} for b in range(COPIES)]
        actions = [
            stack_actions(a.act(row) for a, row in zip(way, rows, strict=True)) for way in actors
        ]
        found["step"].append(_tried(world, state, actions, None))
        found["step_fresh_noise"].append(_tried(world, state, actions, step))
        moved = world.step(state, actions[0])
        going = ~(moved.terminated | moved.truncated)
        if not going.all():  # those that ended begin anew elsewhere; the others are enough
            break
        state, observation = moved.state, moved.observation
    return {name: run_paired_test(np.concatenate(parts)) for name, parts in found.items()}


def _tried(world: Any, state: Any, actions: list[Any], step: int | None) -> Any:
    """Rewards [B, 2 actions, 2 tries]."""
    rewards: list[list[Any]] = []
    for way, action in enumerate(actions):
        tries: list[Any] = []
        for again in (0, 1):
            own = state
            if step is not None:
                # A number of its own for each step, action and try, beyond any that worlds use.
                number = 2**40 + 4 * step + 2 * way + again
                own = dataclasses.replace(state, keys=counter_rng.fold(state.keys, number))
            tries.append(np.asarray(world.step(take(own, np.arange(COPIES)), action).reward))
        rewards.append(tries)
    return np.array(rewards).transpose(2, 0, 1)
