# pyright: basic
"""The callback of SB3 in its own training loops."""

import math

import numpy as np
import pytest
import torch
from nan_rewards import NaNRewards
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import StopTrainingOnMaxEpisodes
from stable_baselines3.common.env_util import make_vec_env
from torch.nn.utils import parameters_to_vector

from rungwise.callbacks.sb3 import HealthCallback
from rungwise.judging.watch import TimeLimit


def make_ppo(**settings):
    """PPO with rows of 256 steps, which learns the pole within thirty of them."""
    env = make_vec_env("CartPole-v1", 8, seed=0)
    common = {"n_steps": 32, "batch_size": 256, "n_epochs": 10, "gae_lambda": 0.8, "seed": 0}
    return PPO("MlpPolicy", env, **common | settings)


def make_callback(**options):
    """A callback that judges every row."""
    return HealthCallback(time_limit=TimeLimit(fraction=1.0), **options)


def test_a_healthy_training_passes_untouched(caplog):
    model, callback = make_ppo(learning_rate=2e-3), make_callback()
    model.learn(6144, callback=callback)
    assert model.num_timesteps == 6144 and callback.watch.verdict == "healthy"
    assert not caplog.records and "kl_runaway" in callback.watch.diagnosis.judged


def test_parameters_are_the_same_with_the_callback():
    trained = []
    for callback in (make_callback(), None):
        model = make_ppo()
        model.learn(512, callback=callback)
        trained.append(parameters_to_vector(model.policy.parameters()))
    assert torch.equal(*trained)


def test_a_learning_rate_100_times_too_high_ends_a_training():
    model, callback = make_ppo(learning_rate=0.2), make_callback()
    model.learn(7680, callback=callback)
    assert model.num_timesteps < 7680
    assert callback.watch.stop and callback.watch.stop.symptom in ("kl_runaway", "entropy_collapse")


@pytest.mark.parametrize("algorithm", [PPO, DQN])
def test_a_nan_reward_ends_a_training_before_the_next_update(algorithm):
    model, callback = algorithm("MlpPolicy", NaNRewards()), HealthCallback()
    model.learn(2000, callback=callback)
    assert model.num_timesteps == 200 and callback.watch.verdict == "stop"
    assert callback.watch.stop and callback.watch.stop.symptom == "not_finite"


def test_a_callback_that_does_not_stop_only_warns(caplog):
    model, callback = DQN("MlpPolicy", NaNRewards()), HealthCallback(stops=False)
    model.learn(300, callback=callback)
    assert model.num_timesteps == 300 and callback.watch.verdict == "stop"
    assert caplog.text.count("not_finite (stop)") == 1


@pytest.mark.parametrize(("steps", "budget"), [(np.int64(5120), 5120), (math.inf, 0)])
def test_steps_that_sb3_takes_do_not_end_a_training(steps, budget):
    model, callback = make_ppo(), make_callback()
    model.learn(steps, callback=[callback, StopTrainingOnMaxEpisodes(1)])
    assert callback.watch._run.log.budget == budget


def test_a_training_in_several_calls_is_one_of_unknown_length():
    model, callback = make_ppo(), make_callback()
    for _ in range(3):
        model.learn(512, callback=callback, reset_num_timesteps=False)
    assert callback.watch._run.rows + 1 == 6 and callback.watch._run.log.budget == 0
    model.learn(2560, callback=callback)
    assert callback.watch._run.rows + 1 == 10 and callback.watch._run.log.budget == 2560
    model.logger.close()
