# pyright: basic
"""Training without Ray: a runner, an objective and a learner in this process."""

from typing import Any

import numpy as np
import torch
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData

import algos
from algos.learning.learner import PROGRESS, SCORE


def train(env, steps, *, env_kwargs=None, algo="ppo", seed=0, **chosen) -> tuple[list[float], Any]:
    """Returns of all finished episodes, and the runner with the trained policy."""
    kind = algos.get_algorithm_class(algo)
    settings: Any = kind.settings_class(**chosen)
    iterations = -(-steps // settings.rows_per_iteration)
    config = kind.get_default_config()
    config.environment(env, env_config=env_kwargs or {}).debugging(seed=seed)
    config = config.configure_training(settings, iterations)
    torch.manual_seed(seed)
    runner = config.env_runner_cls(config=config, worker_index=0)
    learner: Any = config.build_learner(spaces=runner.get_spaces())
    returns: list[float] = []
    for i in range(iterations):
        # The learner's own weights first: runner and learner are initialised separately.
        weights = learner.module[DEFAULT_MODULE_ID].get_state()
        runner.set_state({COMPONENT_RL_MODULE: weights})
        rows, statistics = runner.sample()
        returns.extend(statistics["episodes"].get("episode_return", []))
        rows, _ = learner.objective.preprocess_batch(rows)
        about = {PROGRESS: (i + 1) / iterations, SCORE: None}
        learner.update(training_data=TrainingData(batch=rows), timesteps=about)
    runner.set_state({COMPONENT_RL_MODULE: learner.module[DEFAULT_MODULE_ID].get_state()})
    return returns, runner


def mean_of_last(returns, count=100) -> float:
    """The mean of the last finished episodes."""
    return float(np.mean(returns[-count:]))
