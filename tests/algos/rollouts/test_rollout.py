# pyright: basic
"""A rollout becomes rows, episodes and returns, worked out by hand."""

import numpy as np
import pytest

from algos.rollouts.advantages import has_signal
from algos.rollouts.columns import Columns
from algos.rollouts.preference_pairs import make_episode_pairs
from algos.rollouts.rollout import (
    Rollout,
    mask_first_episodes,
    normalise_advantages,
    number_episodes,
)


def array(*rows):
    return np.array(rows, np.float32)


def rollout(**columns):
    ones = np.ones((3, 2), bool)
    rewards = array([1, 2], [3, 4], [5, 6])
    done = np.array([[False, True], [True, False], [False, False]])
    return Rollout(columns, rewards, rewards * 0, rewards * 0, done, ones, reward_unit=2.0)


def test_rewards_are_divided_by_their_unit_once():
    found = rollout(row_reward=np.full((3, 2, 4), 6.0), other=np.ones((3, 2))).normalise_rewards()
    assert found.rewards.tolist() == [[0.5, 1], [1.5, 2], [2.5, 3]]
    assert (found.columns["row_reward"] == 3).all() and (found.columns["other"] == 1).all()
    assert (
        found.reward_unit == 1
        and found.normalise_rewards().rewards.tolist() == found.rewards.tolist()
    )


def test_rows_are_the_valid_steps_in_the_order_of_time():
    of = rollout(place=np.arange(6).reshape(3, 2))
    assert of.to_rows()["place"].tolist() == [0, 1, 2, 3, 4, 5]
    of.valid[1, 0] = False
    rows = of.to_rows(reward=of.rewards)
    assert rows["place"].tolist() == [0, 1, 3, 4, 5]
    assert rows["reward"].tolist() == [1, 2, 4, 5, 6]


def test_row_advantages_contain_the_reward_of_the_row():
    own = np.stack([np.zeros((3, 2)), 2 * rollout().rewards], -1)
    of = rollout(row_reward=own)
    found = of.compute_row_advantages(np.full((3, 2), 10.0))["row_advantages"]
    np.testing.assert_allclose(found[..., 0], 10 - of.rewards)
    np.testing.assert_allclose(found[..., 1], 10 + of.rewards)
    assert rollout().compute_row_advantages(np.ones((3, 2))) == {}


def test_returns_count_valid_steps_and_stop_at_ends():
    of = rollout()
    of.valid[2, 1] = False
    assert of.returns(0.5).tolist() == [1 + 1.5 + 1.25, 2 + 2]
    assert of.returns_to_go(0.5).tolist() == [[2.5, 2], [3, 4], [5, 0]]


def test_the_same_rewards_in_another_order_are_the_same_return():
    rng = np.random.default_rng(0)
    base = rng.uniform(-1, 3, 200).round(1).astype(np.float32)
    rewards = np.stack([rng.permutation(base) for _ in range(8)], 1)
    done = np.zeros_like(rewards, bool)
    done[-1] = True
    ones = np.ones_like(done)
    # Float32 tells them apart, or this test could not fail.
    assert len(set(np.cumsum(rewards, 0)[-1].tolist())) > 1
    columns = {"row_reward": rewards[..., None]}
    of = Rollout(columns, rewards, rewards * 0, rewards * 0, done, ones)
    assert not has_signal(of.returns(1.0))
    assert not has_signal(of.returns_to_go(1.0)[0])
    of_rows = of.row_returns_to_go(1.0)
    assert of_rows is not None and not has_signal(of_rows[0, :, 0])
    episodes, starts = of.to_episodes(), np.zeros(8, int)
    assert not len(make_episode_pairs(episodes, of.returns(1.0), starts))


def test_returns_of_rows_are_those_of_their_own_rewards():
    of = rollout(row_reward=np.stack([rollout().rewards, np.ones((3, 2))], -1))
    of.valid[2, 1] = False
    found = of.row_returns_to_go(0.5)
    assert found is not None
    np.testing.assert_allclose(found[..., 0], of.returns_to_go(0.5))
    assert found[..., 1].tolist() == [[1.5, 1], [1, 1], [1, 0]]
    assert rollout().row_returns_to_go(0.5) is None


def test_episodes_hold_the_valid_steps_of_each_copy():
    of = rollout(place=np.arange(6).reshape(3, 2))
    of.valid[2, 0] = False
    table = of.to_episodes(score=np.array([7.0, 8.0]))
    assert table["place"].values.tolist() == [0, 2, 1, 3, 5]
    assert table["place"].offsets.tolist() == [0, 2, 5]
    assert table["score"].tolist() == [7, 8]


def test_advantages_are_normalised_wherever_there_are_some():
    rows = Columns(
        {"advantages": array(1, 3), "row_advantages": array([0, 2], [2, 4]), "x": array(1, 2)}
    )
    found = normalise_advantages(rows)
    assert found["advantages"].tolist() == pytest.approx([-1, 1])
    np.testing.assert_allclose(found["row_advantages"].mean(), 0, atol=1e-6)
    assert found["x"].tolist() == [1, 2]
    assert "row_advantages" not in normalise_advantages(Columns({"advantages": array(1, 3)}))


def test_first_episodes_end_where_they_do_or_at_the_end():
    done = np.array([[0, 1, 0], [1, 0, 0], [1, 1, 0]], bool)
    ends, valid = mask_first_episodes(done)
    assert valid.tolist() == [[1, 1, 1], [1, 0, 1], [0, 0, 1]]
    assert ends.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_episodes_are_numbered_by_where_they_began():
    done = np.array([[False, True], [True, False], [False, True]])
    numbers, begun = number_episodes(done, np.array([4, 7]), 10)
    assert numbers.tolist() == [[8, 15], [8, 23], [24, 23]]
    assert begun.tolist() == [12, 13]
