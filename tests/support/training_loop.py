# pyright: basic
"""Training without Ray: a runner, an objective and a learner in this process."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData

import algos
from algos.learning.learner import PROGRESS, SCORE
from algos.rollouts.episode_statistics import merge_statistics
from rungwise.health import History

Plant = Callable[[Any, Any], object]
"""Puts a fault into a runner and a learner before they start."""


def train(env, steps, *, env_kwargs=None, algo="ppo", seed=0, **chosen) -> tuple[list[float], Any]:
    """Returns of all finished episodes, and the runner with the trained policy."""
    settings: Any = algos.get_algorithm_class(algo).settings_class(**chosen)
    iterations = -(-steps // settings.rows_per_iteration)
    runner, learner = make_pair(env, iterations, env_kwargs, algo, seed, settings)
    returns: list[float] = []
    for statistics, _ in iterate(runner, learner, iterations):
        returns.extend(statistics["episodes"].get("episode_return", []))
    runner.set_state({COMPONENT_RL_MODULE: learner.module[DEFAULT_MODULE_ID].get_state()})
    return returns, runner


def record(
    env,
    iterations,
    plant: Plant = lambda runner, learner: None,
    *,
    env_kwargs=None,
    algo="ppo",
    seed=0,
    **chosen,
) -> History:
    """The metrics of a training, by which the health rules judge it."""
    settings: Any = algos.get_algorithm_class(algo).settings_class(**chosen)
    runner, learner = make_pair(env, iterations, env_kwargs, algo, seed, settings)
    plant(runner, learner)
    rows = []
    for i, (statistics, updated) in enumerate(iterate(runner, learner, iterations), 1):
        row = merge_statistics([statistics]) | updated | {"iteration": i}
        rows.append(row | ({"score": row["return_mean"]} if "return_mean" in row else {}))
    return History(rows, iterations, settings=asdict(settings))


def make_pair(env, iterations, env_kwargs, algo, seed, settings) -> tuple[Any, Any]:
    """A runner and a learner with the same spaces."""
    config = algos.get_algorithm_class(algo).get_default_config()
    config.environment(env, env_config=env_kwargs or {}).debugging(seed=seed)
    config = config.configure_training(settings, iterations)
    torch.manual_seed(seed)
    runner = config.env_runner_cls(config=config, worker_index=0)
    return runner, config.build_learner(spaces=runner.get_spaces())


def iterate(runner, learner, iterations) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    """The statistics of each rollout, and the metrics of the update that followed."""
    for i in range(iterations):
        # The learner's own weights first: runner and learner are initialised separately.
        weights = learner.module[DEFAULT_MODULE_ID].get_state()
        runner.set_state({COMPONENT_RL_MODULE: weights})
        rows, statistics = runner.sample()
        rows, _ = learner.objective.preprocess_batch(rows)
        about = {PROGRESS: (i + 1) / iterations, SCORE: None}
        found = learner.update(training_data=TrainingData(batch=rows), timesteps=about)
        yield statistics, found[DEFAULT_MODULE_ID]


def mean_of_last(returns, count=100) -> float:
    """The mean of the last finished episodes."""
    return float(np.mean(returns[-count:]))
