# pyright: basic
"""Whether rewards depend on what was seen earlier."""

import dataclasses

import numpy as np
import pytest
from checks import check, get_severities

from algos.ppo import PPOSettings
from tune_jobs.check.check_target import load_check_target
from tune_jobs.check.memory_probe import MIN_ROWS, measure_dependence
from tune_jobs.check.rollouts import Episode


@pytest.mark.parametrize(("world", "found"), [("SickCue-v0", True), ("SickShown-v0", False)])
def test_a_task_that_hides_its_state_is_noted(world, found):
    answer = check(world, "memory", share=1.0)
    assert get_severities(answer) == ({"needs_memory": "note"} if found else {})
    if found:
        # Both are the same observation, as an episode has three steps.
        evidence = answer["findings"][0]["evidence"]
        assert "2 steps earlier" in evidence or "at the start of the episode" in evidence


@pytest.mark.parametrize(
    ("settings", "evidence"),
    [
        ({}, "with the same observation and action, what was observed 2 steps earlier"),
        ({"frame_stack": 2}, "with the same 2 observations and action, what was observed 2 steps"),
        ({"frame_stack": 3}, ""),
        ({"memory": "gru"}, ""),
        ({"memory": "lstm", "frame_stack": 2}, ""),
    ],
    ids=str,
)
def test_a_policy_that_remembers_enough_gets_no_hint(settings, evidence):
    target = load_check_target("memory_worlds:RepeatPrevious-v0")
    target = dataclasses.replace(target, settings=PPOSettings(**settings))
    answer = check(target, "memory", share=0.5)
    assert get_severities(answer) == ({"needs_memory": "note"} if evidence else {})
    assert evidence in "".join(finding["evidence"] for finding in answer["findings"])
    if "memory" in settings:
        assert "the policy has a memory" in answer["not_judged"]["needs_memory"]
    elif not evidence:
        assert answer["figures"]["memory"]["rows"] >= MIN_ROWS


@pytest.mark.parametrize("world", ["FrozenLake-v1", "CliffWalking-v1"])
def test_a_task_that_shows_its_state_is_left_in_peace(world):
    answer = check(world, "memory", share=0.2)
    assert get_severities(answer) == {}
    assert answer["figures"]["memory"]["rows"] >= MIN_ROWS


def test_observations_that_never_recur_are_not_judged():
    assert "needs_memory" in check("CartPole-v1", "memory")["not_judged"]


def test_the_explained_variance_is_that_of_the_group_means():
    rng = np.random.default_rng(0)
    episodes = []
    for _ in range(400):
        past, noise = int(rng.integers(3)), rng.normal()
        # One step whose observation and action are always the same.
        episodes.append(Episode([0.0, past + noise], "terminated", 0, [past, 7, 8], [1, 1]))
    fraction, errors, rows = measure_dependence(episodes, lambda seen, t: seen[0] if t else None)
    rewards = np.array([e.rewards[1] for e in episodes])
    pasts = np.array([e.observation_keys[0] for e in episodes])
    between = sum(
        (pasts == p).sum() * (rewards[pasts == p].mean() - rewards.mean()) ** 2 for p in range(3)
    )
    assert rows == 400
    assert errors > 8
    # Less what chance explains: two degrees of freedom of 399.
    assert fraction == pytest.approx(between / rewards.var() / 400 - 2 / 399, abs=0.01)


def test_rewards_that_are_not_finite_do_not_hide_an_effect():
    episodes = [
        Episode([0.0, float(n % 3)], "terminated", 0, [n % 3, 7, 8], [1, 1]) for n in range(300)
    ]
    episodes[5].rewards[1] = float("nan")
    fraction, _, rows = measure_dependence(episodes, lambda seen, t: seen[0] if t else None)
    assert (rows, round(fraction, 1)) == (299, 1)


def test_rewards_of_chance_depend_on_nothing():
    rng = np.random.default_rng(1)
    fractions, errors = [], []
    for _ in range(20):
        episodes = [
            Episode(
                [0.0, float(rng.integers(2))], "terminated", 0, [int(rng.integers(3)), 7, 8], [1, 1]
            )
            for _ in range(300)
        ]
        fraction, error, _ = measure_dependence(episodes, lambda seen, t: seen[0] if t else None)
        fractions.append(fraction)
        errors.append(error)
    assert abs(np.mean(fractions)) < 0.01
    assert max(errors) < 8


def test_what_the_stack_holds_is_no_reason_for_memory():
    rng = np.random.default_rng(2)
    episodes = []
    for _ in range(300):
        # Each observation is like the one before it, which alone decides the reward.
        seen = np.cumsum(rng.random(8) < 0.2) % 2
        rewards = [0.0, *(float(s) for s in seen[:6])]
        episodes.append(Episode(rewards, "terminated", 0, seen.tolist(), [1] * 7))
    for depth, found in ((1, True), (2, False)):
        fraction, errors, rows = measure_dependence(
            episodes, lambda seen, t: seen[t - 2] if t >= 2 else None, depth
        )
        assert rows > 1000
        assert (errors > 8 and fraction > 0.05) == found
