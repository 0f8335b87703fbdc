"""Play two action sequences twice each, from more and more starts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from algos.models.base import to_observation_columns
from envs import counter_rng
from envs.pytree import take
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.random_agents import RandomActor, stack_actions
from tune_jobs.check.rollouts import STEPS, Episode, EpisodePlan, play_episodes, sample_random_play
from tune_jobs.check.statistics import PairedTest, run_paired_test

START_COUNTS = (16, 64, 256, 1024, 2048, 4096)
"""Numbers of starts after which the test is repeated, as long as it is open and time is left."""
LEVEL = 0.05 / len(START_COUNTS)
"""Significance level of each test, so that all of them together have 5 %."""
MIN_PAID_STARTS = 8
"""Minimum number of starts with a reward before the reward may count as independent."""
NEGLIGIBLE = 0.08
"""Fraction of variance that must have been detectable before an absent effect is reported."""
SETTLED_P = 0.3
"""p-value up to which the plays hint at an effect that more of them might show."""
MIN_EQUAL_STARTS = 64
"""Number of rewarded starts without a single difference that proves independence."""
COPIES, STATES = 64, 6
"""Number of copies, and of steps at which their states are tried."""


def play_until_clear(
    target: CheckTarget, seconds: float, fresh: bool
) -> tuple[list[list[Episode]], PairedTest]:
    """Play more and more starts until the answer is clear or the time is up."""
    deadline = target.clock() + seconds
    # The first test should take at most half of the time.
    scale = sample_random_play(target, seconds).scale if fresh else None
    possible = seconds * sample_random_play(target, seconds).steps_per_s / (8 * START_COUNTS[0])
    # Longer episodes would leave time for too few starts, and the number of starts is the power of
    # the test.
    length = int(np.clip(possible, 20, STEPS))
    starts: list[list[Episode]] = []
    pairs = run_paired_test(np.zeros((0, 2, 2)))
    # Each count is a look at the data, hence the divided significance level (Bonferroni).
    for count in START_COUNTS:
        plans = [
            _make_plan(s, way, again, fresh)
            for s in range(len(starts), count)
            for way in (0, 1)
            for again in (0, 1)
        ]
        episodes = play_episodes(target, plans, deadline - target.clock(), length, scale=scale)
        whole = [e for e in episodes if e.end or len(e.rewards) >= length]
        # The time ran out within an episode. Its return is not comparable, and a start needs all
        # four plays, so the last starts are left out.
        if len(whole) < len(episodes):
            episodes = episodes[: 4 * (len(episodes) // 4) - 4] if len(episodes) > 4 else []
        starts += [episodes[i : i + 4] for i in range(0, len(episodes) - 3, 4)]
        returns = np.array([[e.episode_return for e in four] for four in starts]).reshape(-1, 2, 2)
        pairs = run_paired_test(returns, LEVEL)
        # Without noise a single difference is proof, and no significance is needed.
        clear = pairs.p_value <= LEVEL or (pairs.noisy == 0 and pairs.differing)
        # To end early without an effect, one of a relevant size must have been detectable, and the
        # p-value must not hint at one.
        if fresh:
            settled = pairs.detectable_fraction <= NEGLIGIBLE and pairs.p_value > SETTLED_P
        else:
            settled = pairs.differing == 0 and count_informative_starts(starts) >= MIN_EQUAL_STARTS
        if clear or settled or len(starts) < count or target.clock() > deadline:
            break
    return starts, pairs


def _make_plan(start: int, way: int, again: int, fresh: bool) -> EpisodePlan:
    # Neighbouring seeds repeat actions for different numbers of steps, so the sequences differ.
    actions = 5 * start + way * 2 + 1
    return EpisodePlan(start, actions, 4 * start + 2 * way + again if fresh else None)


def count_informative_starts(starts: list[list[Episode]]) -> int:
    """Count the starts with a reward or a return other than the most frequent one."""
    every = [episode for start in starts for episode in start]
    if not every:
        return 0
    rewards, counts = np.unique([r for e in every for r in e.rewards], return_counts=True)
    returns, often = np.unique([e.episode_return for e in every], return_counts=True)
    # Relative to the most frequent reward, not to zero: a constant cost per step carries no
    # information either.
    reward, total = rewards[counts.argmax()], returns[often.argmax()]
    return sum(
        any(e.episode_return != total or any(r != reward for r in e.rewards) for e in s)
        for s in starts
    )


def summarise_test(pairs: PairedTest) -> dict[str, Any]:
    """Return the figures of a test."""
    return {
        "starts": pairs.starts,
        "differing": pairs.differing,
        "variance_fraction": pairs.variance_fraction,
        "p": pairs.p_value,
        "detectable_fraction": pairs.detectable_fraction,
    }


def compare_immediate_rewards(world: Any) -> dict[str, PairedTest]:
    """Compare the rewards of two actions from the same states, each tried twice.

    ``step`` uses the state's own randomness, so both tries are equal; ``step_fresh_noise`` draws
    new randomness for each try, which measures the share of luck in the reward.
    """
    state, observation = world.reset(
        counter_rng.make_keys_from_seeds(np.arange(COPIES, dtype=np.uint64))
    )
    actors = [
        [RandomActor(world.action_space, 4 * (2 * b + way)) for b in range(COPIES)]
        for way in (0, 1)
    ]
    rewards: dict[str, list[Any]] = {"step": [], "step_fresh_noise": []}
    for step in range(STATES):
        columns = to_observation_columns(observation)
        rows = [{name: c[b] for name, c in columns.items()} for b in range(COPIES)]
        actions = [
            stack_actions(a.act(row) for a, row in zip(way, rows, strict=True)) for way in actors
        ]
        # Both forms start from the same state, so they differ in the randomness of this step alone.
        rewards["step"].append(_reward_twice(world, state, actions, None))
        rewards["step_fresh_noise"].append(_reward_twice(world, state, actions, step))
        moved = world.step(state, actions[0])
        going = ~(moved.terminated | moved.truncated)
        if not going.all():  # ended copies restart in other states; those collected suffice
            break
        state, observation = moved.state, moved.observation
    return {name: run_paired_test(np.concatenate(parts)) for name, parts in rewards.items()}


def _reward_twice(world: Any, state: Any, actions: list[Any], step: int | None) -> Any:
    """Return the rewards [B, 2 actions, 2 tries] of one step."""
    rewards: list[list[Any]] = []
    for way, action in enumerate(actions):
        tries: list[Any] = []
        for again in (0, 1):
            state_of_try = state
            if step is not None:
                # One stream per step, action and try, with numbers above those that worlds use.
                number = 2**40 + 4 * step + 2 * way + again
                state_of_try = dataclasses.replace(state, keys=counter_rng.fold(state.keys, number))
            tries.append(
                np.asarray(world.step(take(state_of_try, np.arange(COPIES)), action).reward)
            )
        rewards.append(tries)
    return np.array(rewards).transpose(2, 0, 1)
