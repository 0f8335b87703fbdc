# pyright: basic
"""PPO learns what there is to learn, and nothing where there is nothing."""

import pytest
import small

pytestmark = pytest.mark.usefixtures("local_ray")

SETTINGS = {"num_envs": 16, "rollout_length": 16, "minibatch_size": 64, "lr": 0.01}


def mean_reward(iterations=12, **env_kwargs):
    """The mean reward of a step in the last three iterations: 0.5 for an arm drawn by lot."""
    chosen = {**SETTINGS, "gamma": 0.5}
    with small.algorithm("toy_worlds:Bandit-v0", env_kwargs, iterations=iterations, **chosen) as a:
        rewards = [a.train()["reward_mean"] for _ in range(iterations)]
    return rewards[0], sum(rewards[-3:]) / 3


def test_a_contextual_bandit_is_learnt_within_three_thousand_steps():
    first, last = mean_reward()
    assert first < 0.7
    assert last >= 0.9


def test_nothing_is_learnt_from_shuffled_rewards():
    # 768 rewards of the last three iterations: three standard deviations are 0.054.
    _, last = mean_reward(shuffled=True)
    assert last == pytest.approx(0.5, abs=0.06)
