# pyright: basic
"""Modules, runners, learners and algorithms that are small enough for a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData

import algos
from algos.learning.learner import PROGRESS, SCORE
from algos.learning.update_log import measure_loss
from algos.losses import sum_loss_terms
from algos.models import MODELS
from algos.rollouts.rollout import Rollout, mask_first_episodes

# Threads that wait for each other cost more than they bring to networks of this size: on a busy
# machine ten times as much.
torch.set_num_threads(1)

TINY: dict[str, Any] = {
    "num_envs": 2,
    "rollout_length": 8,
    "minibatch_size": 8,
    "hidden": (16,),
    "normalise_observations": False,
    "initial_log_std": 0.0,
}
OWN: dict[str, dict[str, Any]] = {
    "ppo": {
        **{"normalise_values": False, "lr": 3e-4, "lr_schedule": "constant", "epochs": 4},
        "kl_limit": 0.0,
    },
    "reinforce": {"group_size": 2},
    "grpo": {"group_size": 2},
    "dpo": {"group_size": 2},
    "astar_po": {"group_size": 1, "reference_samples": 2, "starts": 4, "minibatch_size": 2},
}
"""What single algorithms need beside TINY: groups of episodes, values in units of the reward."""


def settings(algo="ppo", **changed) -> Any:
    """The settings of an algorithm that learns next to nothing, quickly."""
    return algos.get_algorithm_class(algo).settings_class(**TINY | OWN.get(algo, {}) | changed)


def module(observation_space, action_space, *, scale=0.3, seed=0, **changed) -> Any:
    """A policy network with weights large enough for its probabilities to differ."""
    s = settings(**changed)
    built = MODELS[s.model](
        observation_space=observation_space, action_space=action_space, model_config=s.model_config
    )
    return _spread(built, scale, seed)


def _spread(module, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, scale, generator=generator)
    return module


def _config(algo, env, env_kwargs, seed, chosen, iterations=5, gpus=0):
    config = algos.get_algorithm_class(algo).get_default_config()
    config.environment(env, env_config=env_kwargs or {}).debugging(seed=seed)
    return config.configure_training(chosen, iterations, gpus=gpus)


def runner(env, env_kwargs=None, *, algo="ppo", seed=0, worker_index=0, gpus=0, **changed) -> Any:
    """The algorithm's own runner in this process, without Ray."""
    config = _config(algo, env, env_kwargs, seed, settings(algo, **changed), gpus=gpus)
    torch.manual_seed(seed)
    return config.env_runner_cls(config=config, worker_index=worker_index)


def learner(env, *, algo="ppo", seed=0, iterations=5, **changed) -> Any:
    """A learner in this process, without Ray, whose policy is not nearly uniform."""
    config = _config(algo, env, None, seed, settings(algo, **changed), iterations)
    built = config.build_learner(env=gymnasium.make(env))
    _spread(built.module[DEFAULT_MODULE_ID], 0.5, seed)
    return built


def updated(learner, batch, progress=0.7, score=None):
    """The metrics of one update on these rows."""
    data, steps = TrainingData(batch=batch), {PROGRESS: progress, SCORE: score}
    return learner.update(training_data=data, timesteps=steps)[DEFAULT_MODULE_ID]


def rollout(shape, *, whole=False) -> Rollout:
    """Fixed random steps [T, B] of a bandit, or only the first episode of each copy."""
    rng = np.random.default_rng(0)
    columns = {
        "obs": rng.normal(size=(*shape, 2)).astype(np.float32),
        "choice": rng.integers(0, 2, shape),
        "logp": np.log(rng.uniform(0.3, 0.7, shape)).astype(np.float32),
    }
    rewards, values, following = rng.normal(size=(3, *shape)).astype(np.float32)
    done, valid = rng.random(shape) < 0.2, np.ones(shape, bool)
    if whole:
        done, valid = mask_first_episodes(done)
    return Rollout(columns, rewards, values, following, done, valid)


def objective(algo="ppo", **changed) -> Any:
    """The algorithm's objective with tiny settings."""
    return algos.get_algorithm_class(algo).objective_class(settings(algo, **changed))


def loss(algo, forward, batch, settings, **coefficients):
    """What the learner minimises: the mean of the sum of an algorithm's terms."""
    chosen = algos.get_algorithm_class(algo).objective_class(settings)
    coefficients = chosen.initialise_coefficients() | coefficients
    return sum_loss_terms(chosen.loss(forward, batch, coefficients).terms)


def measure(algo, forward, batch, settings):
    """The metrics of a minibatch."""
    chosen = algos.get_algorithm_class(algo).objective_class(settings)
    return measure_loss(chosen.loss(forward, batch, chosen.initialise_coefficients()))


@contextmanager
def algorithm(
    env, env_kwargs=None, *, algo="ppo", seed=0, iterations=5, **changed
) -> Iterator[Any]:
    """An algorithm on the session's Ray, stopped at the end."""
    chosen = settings(algo, **changed)
    built = algos.build_algorithm(
        algo, env, env_kwargs or {}, chosen, iterations=iterations, seed=seed
    )
    try:
        yield built
    finally:
        built.stop()


def learner_weights(algorithm):
    return algorithm.learner_group.get_weights()["default_policy"]


def same_weights(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
