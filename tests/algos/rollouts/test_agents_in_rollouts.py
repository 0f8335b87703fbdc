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


AWAY = {
    "back after one, two and never": {"a0": (2, 4), "a1": (1, 6), "a2": (5, 99)},
    "all but one at the end": {"a1": (7, 99), "a2": (3, 99)},
    "the last one gone": {"a0": (4, 99), "a1": (4, 99), "a2": (4, 99)},
}


def estimate_naively(diary, value_of, gamma, lam, under_way):
    """Advantages by observation, and returns of the agents whose episode ended, agent by agent.

    Args:
        diary: steps of one game in one rollout.
        value_of: observation -> value.
        under_way: agent -> return so far of its episode; updated.
    """
    own, advantages, ended = {}, {}, []

    def finish(agent, future):
        following, error = future, 0.0
        for saw, reward in reversed(own.pop(agent, [])):
            value = value_of(saw)
            error = reward + gamma * following - value + gamma * lam * error
            advantages[tuple(saw.tolist())], following = error, value

    for saw, paid, ends, cuts, after, over in diary:
        for agent, observation in saw.items():
            own.setdefault(agent, []).append([observation, 0.0])
            under_way.setdefault(agent, 0.0)
        for agent in list(under_way):
            under_way[agent] += paid.get(agent, 0.0)
            if agent in own:  # else it has not acted in this rollout: no row has earned it
                own[agent][-1][1] += paid.get(agent, 0.0)
            if not (over or ends.get(agent) or cuts.get(agent)):
                continue
            ended.append((agent, under_way.pop(agent)))
            cut = cuts.get(agent, any(cuts.values()))
            if agent in own:
                last = after.get(agent, own[agent][-1][0]) if agent in saw else own[agent][-1][0]
                finish(agent, value_of(last) if cut else 0.0)
    for agent in list(own):
        finish(agent, value_of(after[agent] if agent in after else own[agent][-1][0]))
    return advantages, ended


@pytest.mark.parametrize("away", AWAY.values(), ids=AWAY)
@pytest.mark.parametrize("leaves", [(99, 99, 99), (3, 99, 8), (8, 8, 8)])
@pytest.mark.parametrize("length", [5, 31])
def test_an_agent_that_was_away_continues_with_its_next_step(away, leaves, length):
    kwargs = {"away": away, "leaves": leaves}
    chosen = {"num_envs": 2, "rollout_length": length, "gamma": 0.9, "lam": 0.8}
    runner = small.runner("agent_games:Commuters-v0", kwargs, **chosen)
    small._spread(runner.module, 0.5, 0)
    games, under_way = runner.env.unwrapped.games, [{}, {}]

    def value_of(observation):
        return float(runner._compute_values({"obs": observation[None]}, {})[0])

    for _ in range(60 // length):
        rollout, statistics = runner.collect(length)
        expected, ended = {}, []
        for game, carried in zip(games, under_way, strict=True):
            part, over = estimate_naively(game.diary, value_of, 0.9, 0.8, carried)
            expected |= part
            ended += over
            game.diary.clear()
        rows = runner.objective.compute_advantages(rollout)
        found = dict(zip(map(tuple, rows["obs"].tolist()), rows["advantages"], strict=True))
        assert found.keys() == expected.keys()
        for observation, advantage in expected.items():
            assert found[observation] == pytest.approx(advantage, abs=1e-4)
        of = statistics["episodes"]
        agents = [f"a{agent}" for agent in of.get("agent", ())]
        pairs = zip(agents, of.get("episode_return", ()), strict=True)
        assert sorted(pairs) == sorted(ended)
    runner.stop()


def test_steps_that_an_agent_missed_are_no_part_of_its_returns():
    runner = small.runner(
        "agent_games:Commuters-v0",
        algo="reinforce",
        num_envs=1,
        rollout_length=9,
        baseline="moving_average",
        gamma=0.5,
    )
    rollout, _ = runner.collect(9)
    runner.stop()
    # a0 misses the steps 2 and 3, and is paid 10 for each of them.
    own = rollout.valid[:, 0]
    assert own.tolist() == [False] * 2 + [True] * 7
    rewards = rollout.rewards[own, 0]
    assert rewards[1] >= 20 and (rewards[2:] <= 1).all()
    rows = runner.objective.compute_advantages(rollout)
    of_first = np.flatnonzero(rollout.valid.reshape(-1))
    found = rows["returns"][of_first % 3 == 0]
    assert found[0] == pytest.approx(sum(r * 0.5**t for t, r in enumerate(rewards)))
