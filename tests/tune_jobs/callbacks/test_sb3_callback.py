# pyright: basic
"""The callback of SB3 in its own training loops."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import DQN, PPO

from tune_jobs.callbacks.sb3_callback import HealthCallback
from tune_jobs.health.watch import TimeLimit


class NaNRewards(gym.Wrapper):
    """CartPole whose rewards are NaN from some step of the training on."""

    def __init__(self, first=200):
        super().__init__(gym.make("CartPole-v1"))
        self.first, self.steps = first, 0

    def step(self, action):
        observation, reward, *rest = super().step(action)
        self.steps += 1
        return (observation, np.nan if self.steps >= self.first else reward, *rest)


def make_ppo(env="CartPole-v1", **settings):
    return PPO("MlpPolicy", env, **{"n_steps": 64, "n_epochs": 4, "seed": 0} | settings)


def make_callback(**options):
    """A callback that judges every row."""
    return HealthCallback(time_limit=TimeLimit(fraction=1.0), **options)


def test_a_healthy_training_is_the_same_with_the_callback(caplog):
    watched, alone = make_ppo(learning_rate=1e-3), make_ppo(learning_rate=1e-3)
    callback = make_callback()
    watched.learn(1280, callback=callback)
    alone.learn(1280)
    assert watched.num_timesteps == 1280 and callback.watch.verdict == "healthy"
    assert not caplog.records and "kl_runaway" in callback.watch.diagnosis.judged
    theirs = alone.policy.state_dict()
    assert all((theirs[name] == value).all() for name, value in watched.policy.state_dict().items())


def test_a_learning_rate_100_times_too_high_ends_a_training():
    model, callback = make_ppo(learning_rate=0.1), make_callback()
    model.learn(2560, callback=callback)
    assert model.num_timesteps < 2560
    assert callback.watch.stop.symptom in ("kl_runaway", "entropy_collapse")


@pytest.mark.parametrize("algorithm", [PPO, DQN])
def test_a_nan_reward_ends_a_training_before_the_next_update(algorithm):
    model, callback = algorithm("MlpPolicy", NaNRewards()), HealthCallback()
    model.learn(2000, callback=callback)
    assert model.num_timesteps == 200 and callback.watch.stop.symptom == "not_finite"
    assert callback.watch.verdict == "stop"


def test_a_callback_that_does_not_stop_only_warns(caplog):
    model, callback = DQN("MlpPolicy", NaNRewards()), HealthCallback(stops=False)
    model.learn(300, callback=callback)
    assert model.num_timesteps == 300 and callback.watch.verdict == "stop"
    assert caplog.text.count("not_finite (stop)") == 1


def test_a_training_in_several_calls_is_one_of_unknown_length():
    model, callback = make_ppo(), make_callback()
    for _ in range(3):
        model.learn(128, callback=callback, reset_num_timesteps=False)
    assert callback.watch._rows + 1 == 6 and callback.watch._log.budget == 0
    first = callback.watch
    model.learn(128, callback=callback)
    assert callback.watch is not first and callback.watch._log.budget == 128
    model.logger.close()
