# pyright: basic
"""PPO: what a step's value is fitted to, and what its advantage is."""

import numpy as np
import pytest
import small

from algos.ppo import PPOObjective
from algos.rollouts.advantages import compute_value_metrics
from algos.rollouts.rollout import Rollout


def credited(**changed):
    """One copy, two steps of an episode that ends: rewards 1 and 2, values 10 and 20."""
    rewards, values = np.array([[1.0], [2.0]], np.float32), np.array([[10.0], [20.0]], np.float32)
    following, done = np.array([[20.0], [0.0]], np.float32), np.array([[False], [True]])
    columns = {"obs": np.zeros((2, 1, 1), np.float32)}
    rollout = Rollout(
        columns, rewards, values, following, done, np.ones((2, 1), bool), reward_unit=2.0
    )
    return PPOObjective(small.settings(gamma=0.5, **changed)).compute_advantages(rollout)


@pytest.mark.parametrize(
    ("lam", "advantages"),
    [
        # The errors of one step: 1 + .5 * 20 - 10 = 1 and 2 - 20 = -18.
        (0.0, [1, -18]),
        # The first one adds the second, discounted once: 1 + .5 * -18.
        (1.0, [-8, -18]),
        (0.4, [1 + 0.5 * 0.4 * -18, -18]),
    ],
)
def test_values_are_fitted_to_advantages_plus_values(lam, advantages):
    rows = credited(lam=lam)
    assert rows["advantages"].tolist() == pytest.approx(advantages)
    assert rows["values"].tolist() == [10, 20]
    assert rows["returns"].tolist() == pytest.approx([advantages[0] + 10, advantages[1] + 20])


def test_with_a_lambda_of_1_returns_are_the_discounted_rewards():
    assert credited(lam=1.0)["returns"].tolist() == pytest.approx([1 + 0.5 * 2, 2])


def test_rewards_are_divided_by_their_unit_where_that_is_asked():
    returns = credited(lam=1.0, normalise_rewards=True)["returns"]
    assert returns.tolist() == pytest.approx([0.5 + 0.5 * 1, 1])


def test_the_value_is_measured_before_advantages_are_normalised():
    rows = credited(lam=0.4)
    objective = PPOObjective(small.settings(normalise_advantages=True))
    normalised, metrics = objective.preprocess_batch(rows)
    assert metrics["advantage_std"] == pytest.approx(float(rows["advantages"].std()))
    expected = compute_value_metrics(rows["values"], rows["returns"])
    assert expected and metrics == {"advantage_std": metrics["advantage_std"], **expected}
    assert abs(normalised["advantages"]).max() == pytest.approx(1)
