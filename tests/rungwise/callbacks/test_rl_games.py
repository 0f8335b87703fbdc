# pyright: basic, reportMissingImports=false
"""The observer and the ``stop_fn`` of rl_games in its PPO."""

import pytest

pytest.importorskip("rl_games", reason="make test-peers installs it")

import gymnasium
import numpy as np
import yaml
from benchmarks.programs.environments import Steer
from rl_games.common import env_configurations, vecenv
from rl_games.common.algo_observer import DefaultAlgoObserver
from rl_games.common.ivecenv import IVecEnv
from rl_games.torch_runner import Runner

from rungwise.callbacks.rl_games import HealthObserver, stop_fn
from rungwise.judging.watch import TimeLimit

EPOCHS = 40
DIRECTIONS = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]], np.float32)
PARAMS = yaml.safe_load("""
seed: 1
torch_threads: 1
algo: {name: a2c_continuous}
model: {name: continuous_a2c_logstd}
network:
  name: actor_critic
  separate: false
  space:
    continuous:
      mu_activation: None
      sigma_activation: None
      mu_init: {name: default}
      sigma_init: {name: const_initializer, val: 0}
      fixed_sigma: true
  mlp: {units: [32], activation: tanh, initializer: {name: default}, regularizer: {name: None}}
config:
  name: steer
  env_name: steer
  device: cpu
  device_name: cpu
  torch_compile: false
  ppo: true
  num_actors: 16
  horizon_length: 25
  minibatch_size: 200
  mini_epochs: 4
  learning_rate: 3.0e-3
  lr_schedule: null
  gamma: 0.99
  tau: 0.95
  e_clip: 0.2
  entropy_coef: 0.001
  critic_coef: 1
  bounds_loss_coef: 0.0001
  grad_norm: 1.0
  truncate_grads: true
  clip_value: true
  normalize_input: false
  normalize_value: false
  normalize_advantage: true
  kl_threshold: 0.008
  reward_shaper: {scale_value: 1.0}
  save_best_after: 1000000
  save_frequency: 0
""")


class Steered(IVecEnv):
    """The points of ``Steer``, moved by vectors or in one of four directions."""

    def __init__(self, fault="none", is_discrete=False, seed=0):
        self.env, self.is_discrete = Steer(fault), is_discrete

    def reset(self):
        return self.env.reset()[0]

    def step(self, actions):
        actions = DIRECTIONS[np.asarray(actions)] if self.is_discrete else actions
        seen, reward, done, _, info = self.env.step(actions)
        return seen, reward, done.astype(np.uint8), info

    def get_number_of_agents(self):
        return 1

    def get_env_info(self):
        actions = gymnasium.spaces.Discrete(4) if self.is_discrete else None
        return {
            "action_space": actions or self.env.single_action_space,
            "observation_space": self.env.single_observation_space,
        }


vecenv.register("STEER", lambda _name, _actors, **options: Steered(**options))
env_configurations.register("steer", {"vecenv_type": "STEER", "env_creator": dict})


class Asking(DefaultAlgoObserver):
    """Asks the ``stop_fn`` after each epoch, as rl_games itself does from version 2 on."""

    def after_print_stats(self, frame, epoch_num, total_time):
        if not hasattr(self.algo, "stop_fn") and stop_fn(self.algo):
            self.algo.max_epochs = epoch_num


def train(path, observer, params=None, env=None, **config):
    """Train with these settings in place of others; how many epochs it took."""
    config = {"train_dir": str(path), "max_epochs": EPOCHS, "env_config": env or {}} | config
    runner = Runner(observer)
    runner.load({"params": PARAMS | (params or {}) | {"config": PARAMS["config"] | config}})
    runner.run({"train": True})
    return observer.algo.epoch_num


def make_observer(**options):
    """An observer that judges every epoch."""
    return HealthObserver(time_limit=TimeLimit(fraction=1.0), **options)


def test_a_healthy_training_passes_untouched(tmp_path):
    health = make_observer()
    assert train(tmp_path, health) == EPOCHS
    assert health.watch.verdict == "healthy"
    assert {"kl_runaway", "entropy_collapse"} <= set(health.watch.diagnosis.judged)


def test_an_epoch_with_nan_rewards_is_the_last_and_is_saved(tmp_path):
    health = make_observer()
    assert train(tmp_path, health, env={"fault": "nan-reward"}) == 21  # from step 501 on
    assert health.watch.stop and health.watch.stop.symptom == "not_finite"
    assert list(tmp_path.glob("*/nn/last_steer_ep_21_*.pth"))


def test_a_learning_rate_of_10_ends_a_training(tmp_path):
    health = make_observer()
    assert train(tmp_path, health, learning_rate=10.0) < EPOCHS
    assert health.watch.verdict == "stop"


def test_an_epoch_is_one_row_with_discrete_actions(tmp_path):
    health = make_observer()
    params = {
        "algo": {"name": "a2c_discrete"},
        "model": {"name": "discrete_a2c"},
        "network": PARAMS["network"] | {"space": {"discrete": None}},
    }
    train(tmp_path, health, params, {"is_discrete": True}, max_epochs=-1, max_frames=8000)

    assert (health.watch._run.log.rows_seen, health.watch._run.log.share_reached) == (20, 1.0)


def test_another_observer_is_called_too(tmp_path):
    other = Asking()
    health = make_observer(observer=other, stops=False)
    train(tmp_path, health, max_epochs=2)
    assert other.algo is health.algo and health.game_scores is other.game_scores


def test_a_stop_fn_that_a_yaml_file_names_ends_a_training(tmp_path):
    named = {"stop_fn": "rungwise.callbacks.rl_games:stop_fn"}
    asking, options = Asking(), {"time_limit": TimeLimit(fraction=1.0)}
    epochs = train(tmp_path, asking, env={"fault": "nan-reward"}, health=options, **named)
    assert epochs == 21 and asking.algo.health.watch.stop.symptom == "not_finite"
