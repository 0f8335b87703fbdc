"""RLlib's configuration for the columnar path: our runner, our learner, our frozen settings."""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.framework import get_device

from algos.learning.learner import ColumnLearner
from algos.models import MODELS
from algos.objective import Objective
from algos.rollouts.env_runner import ColumnRunner
from algos.settings.training import TrainingSettings


class ColumnConfig(AlgorithmConfig):
    """RLlib's configuration carrying our own frozen settings."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self.settings = TrainingSettings()
        self.total_iterations = 1
        self.hang_report_dir = tempfile.gettempdir()
        self.env_runner_cls = ColumnRunner
        # Our runner has no connectors to merge, and a state sent without waiting may be dropped.
        self._dont_auto_sync_env_runner_states = True
        self.min_time_s_per_iteration = 0
        self.restart_failed_env_runners = True
        # RLlib's default sleeps a minute after every exception of a worker.
        self.delay_between_env_runner_restarts_s = 0.0
        self.create_env_on_local_worker = False
        self.add_default_connectors_to_learner_pipeline = False
        self.log_level = "ERROR"
        # It polls in a thread, whose end every trial would wait for: half a second.
        self.log_sys_usage = False

    def configure_training(
        self,
        settings: TrainingSettings,
        total_iterations: int,
        *,
        gpus: float = 0,
        hang_report_dir: str = "",
    ) -> ColumnConfig:
        """Set the settings and the budget of ``total_iterations``, at which schedules end.

        ``gpus`` is what each process holds whose policy is on a GPU: each learner, and where
        policies act on GPUs each env runner. ``hang_report_dir`` is where a runner that hangs
        leaves its report.
        """
        settings = settings.fit_to_budget(0)  # where a job has not done so by its own
        self.settings, self.total_iterations = settings, total_iterations
        self.hang_report_dir = hang_report_dir or self.hang_report_dir
        self.env_runners(
            num_env_runners=settings.num_env_runners,
            num_envs_per_env_runner=settings.num_envs,
            rollout_fragment_length=settings.rollout_length,
            num_gpus_per_env_runner=gpus if settings.acts_on_gpu else 0,
        )
        self.learners(num_learners=settings.num_learners, num_gpus_per_learner=gpus)
        return self.training(
            train_batch_size_per_learner=settings.rows_per_iteration, lr=settings.lr
        )

    def get_acting_device(self, worker_index: int = 0) -> torch.device:
        """Return the device on which the policy acts in an env runner; 0 is the trial's process."""
        # RLlib has a device for remote runners only. The trial's own process holds a GPU unless
        # others both learn and act for it.
        holds_gpu = worker_index or not (self.num_learners and self.num_env_runners)
        gpus: Any = self.num_gpus_per_env_runner  # RLlib's hint forgets fractions
        return get_device(self, gpus if holds_gpu else 0)

    def make_objective(self) -> Objective[Any]:
        """Return the algorithm's objective with these settings."""
        algorithm: Any = self.algo_class
        return algorithm.objective_class(self.settings)

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """Return the specification of the network that the settings name."""
        # RLlib asks for a class before it knows the spaces, but does no more with it than call it
        # once it does: what makes a network of them can choose by them.
        make: Any = MODELS[self.settings.model]
        return RLModuleSpec(module_class=make, model_config=self.settings.model_config)

    def get_default_learner_class(self) -> type[ColumnLearner]:
        """Return our learner."""
        return ColumnLearner
