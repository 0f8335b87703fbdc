# pyright: basic, reportCallIssue=false
"""Agents of a game are rows of the rollout; those that are absent leave none."""

import numpy as np
import pytest
import small
import torch

from algos.rollouts.advantages import gae
from algos.rollouts.episode_statistics import merge_statistics

ENV = "agent_games:Couriers-v0"
LATE = "agent_games:CouriersLate-v0"
MASKED = "agent_games:CouriersMasked-v0"


def collect(env, length, **changed):
    runner = small.runner(env, num_envs=2, rollout_length=length, **changed)
    rollout, statistics = runner.collect(length)
    runner.stop()
    return rollout, statistics


@pytest.mark.parametrize("env", [ENV, MASKED])
def test_absent_agents_leave_no_rows(env):
    rollout, statistics = collect(env, 10)
    # Two games of three agents, which stay 2, 4 and 5 of the 5 steps.
    per_game = np.array([[1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 1, 1], [0, 0, 1]], bool)
    np.testing.assert_array_equal(rollout.valid, np.tile(per_game, (2, 2)))
    ends = np.zeros((5, 3), bool)
    ends[1, 0] = ends[3, 1] = ends[4, 2] = True
    np.testing.assert_array_equal(rollout.done, np.tile(ends, (2, 2)))
    assert statistics["steps"] == per_game.sum() * 4
    assert len(rollout.to_rows()) == statistics["steps"]
    assert (rollout.rewards[~rollout.valid] == 0).all()


def test_an_agent_that_joins_later_begins_there():
    rollout, _ = collect(LATE, 5)
    assert rollout.valid[:, 2].tolist() == [False, False, True, True, True]


def test_returns_are_those_of_each_agent_and_of_all():
    rollout, statistics = collect(ENV, 20)
    metrics = merge_statistics([statistics | {"sample_s": 0.0}])
    expected = [rollout.rewards[:, a::3].sum() / 8 for a in range(3)]  # 2 games, 4 times each
    assert metrics["agent_returns"] == pytest.approx(expected)
    assert metrics["return_total"] == pytest.approx(sum(expected))
    assert metrics["return_mean"] == pytest.approx(np.mean(expected))
    assert metrics["episodes"] == 2 * 4 * 3
    assert metrics["episode_length"] == pytest.approx((2 + 4 + 5) / 3)


def test_environments_of_one_agent_have_no_agent_metrics():
    runner = small.runner("CartPole-v1", rollout_length=64)
    _, statistics = runner.collect(64)
    runner.stop()
    metrics = merge_statistics([statistics | {"sample_s": 0.0}])
    assert not {"agent_returns", "return_total", "agent"} & metrics.keys()


def test_advantages_of_an_agent_end_where_it_leaves():
    runner = small.runner(ENV, num_envs=1, rollout_length=10, gamma=0.9)
    with torch.no_grad():
        for parameter in runner.module.parameters():
            parameter.normal_(0, 0.3)
    rollout, _ = runner.collect(10)
    runner.stop()
    whole = gae(rollout.rewards, rollout.values, rollout.next_values, rollout.done, 0.9, 0.8)
    # The first agent alone, in the steps of its first game: nothing of later games counts.
    part = [x[:2, :1] for x in (rollout.rewards, rollout.values, rollout.next_values, rollout.done)]
    np.testing.assert_allclose(whole[:2, :1], gae(*part, 0.9, 0.8), rtol=1e-6)
    # It left by itself, the last one by the end of time.
    assert rollout.next_values[1, 0] == 0
    assert rollout.next_values[4, 2] != 0


def test_a_shared_policy_learns_for_all_agents():
    runner = small.runner(
        ENV, num_envs=16, rollout_length=20, minibatch_size=64, lr=1e-2, gamma=0.3, hidden=(16,)
    )
    learner = runner.config.build_learner(spaces=runner.get_spaces())
    for _ in range(10):
        runner.module.set_state(learner.module["default_policy"].get_state())
        rows, statistics = runner.sample()
        small.updated(learner, rows)
    runner.stop()
    metrics = merge_statistics([statistics])
    # At chance half of it; agent i is paid i + 1 for each of its 2, 4 and 5 steps.
    for found, best in zip(metrics["agent_returns"], (2, 8, 15), strict=True):
        assert found > 0.85 * best
