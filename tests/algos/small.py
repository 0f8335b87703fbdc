# pyright: basic
"""Modules, runners, learners and algorithms that are small enough for a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

import algos
from algos.models import MODELS
from algos.ppo import PPO, PPOSettings
from algos.runner import ColumnRunner


def settings(**changed):
    tiny = {"num_envs": 2, "rollout_length": 8, "minibatch_size": 8, "hidden": (16,)}
    return PPOSettings(**tiny | changed)


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


def _config(env, env_kwargs, seed, chosen, iterations=5):
    config = PPO.get_default_config()
    config.environment(env, env_config=env_kwargs or {}).debugging(seed=seed)
    return config.train_with(chosen, iterations)


def runner(env, env_kwargs=None, *, seed=0, worker_index=0, **changed) -> Any:
    """A runner in this process, without Ray."""
    config = _config(env, env_kwargs, seed, settings(**changed))
    torch.manual_seed(seed)
    return ColumnRunner(config=config, worker_index=worker_index)


def learner(env, *, seed=0, **changed) -> Any:
    """A learner in this process, without Ray, whose policy is not nearly uniform."""
    config = _config(env, None, seed, settings(**changed))
    built = config.build_learner(env=gymnasium.make(env))
    _spread(built.module[DEFAULT_MODULE_ID], 0.5, seed)
    return built


@contextmanager
def algorithm(env, env_kwargs=None, *, seed=0, iterations=5, **changed) -> Iterator[Any]:
    """An algorithm on the session's Ray, stopped at the end."""
    built = algos.build(
        "ppo", env, env_kwargs or {}, settings(**changed), iterations=iterations, seed=seed
    )
    try:
        yield built
    finally:
        built.stop()


def learner_weights(algorithm):
    return algorithm.learner_group.get_weights()["default_policy"]


def same_weights(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
