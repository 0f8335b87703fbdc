"""What every algorithm has in common: collect, give credit, learn, hand the weights back.

An algorithm is one file with a frozen settings dataclass and a subclass of :class:`ColumnAlgorithm`
that overrides a few pure functions (``credit``, ``prepare``, ``loss``, ...). RLlib's Algorithm,
EnvRunnerGroup and LearnerGroup do the rest: workers, GPUs, restarts, checkpoints.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from torch import Tensor

from algos.advantages import next_values
from algos.columns import Columns, concat
from algos.config import TrainingSettings
from algos.episodes import merged
from algos.heads import Head, head_for
from algos.learner import PROGRESS, SKIPPED, ColumnLearner
from algos.metrics import METRICS
from algos.models import MODELS
from algos.runner import ColumnRunner, EnvironmentFault, Rollout, make_vector_env
from algos.watchdog import hang_reports

WEIGHTS = COMPONENT_LEARNER + "/" + COMPONENT_RL_MODULE
SYNC_TIMEOUT_S = 60.0


class ColumnConfig(AlgorithmConfig):
    """RLlib's configuration carrying our own frozen settings."""

    def __init__(self, algo_class: type[ColumnAlgorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self.settings = TrainingSettings()
        self.total_iterations = 1
        self.faults = tempfile.gettempdir()
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

    def train_with(
        self,
        settings: TrainingSettings,
        total_iterations: int,
        *,
        gpus: float = 0,
        faults: str = "",
    ) -> ColumnConfig:
        """Use these settings for a budget of ``total_iterations`` (schedules end there).

        ``faults`` is the directory where a runner that hangs leaves its report.
        """
        self.settings, self.total_iterations = settings, total_iterations
        self.faults = faults or self.faults
        self.env_runners(
            num_env_runners=settings.num_env_runners,
            num_envs_per_env_runner=settings.num_envs,
            rollout_fragment_length=settings.rollout_length,
        )
        self.learners(num_learners=settings.num_learners, num_gpus_per_learner=gpus)
        return self.training(train_batch_size_per_learner=settings.rows, lr=settings.lr)

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The network that the settings name."""
        return RLModuleSpec(
            module_class=MODELS[self.settings.model], model_config=self.settings.model_config
        )

    def get_default_learner_class(self) -> type[ColumnLearner]:
        """Ours."""
        return ColumnLearner


class ColumnAlgorithm(Algorithm):
    """Base of all algorithms; see ``ppo.py`` for one read from top to bottom."""

    settings_class: ClassVar[type[TrainingSettings]]
    config: Any
    bootstrap = staticmethod(next_values)

    # What an algorithm says about itself: pure functions, run on runners, driver and learners.

    @staticmethod
    def credit(rollout: Rollout, settings: Any) -> Columns:
        """Rollout [T, B] -> rows with what each action was worth. Runs on the runners."""
        raise NotImplementedError

    @staticmethod
    def prepare(rows: Columns, settings: Any) -> tuple[Columns, dict[str, float]]:
        """The rows of all runners as the learners should see them, and metrics about them."""
        return rows, {}

    @staticmethod
    def loss(
        forward: Mapping[str, Any], batch: Columns, settings: Any, coefficients: Mapping[str, float]
    ) -> Tensor:
        """The network's output for a minibatch -> a scalar loss."""
        raise NotImplementedError

    @staticmethod
    def measured(forward: Mapping[str, Any], batch: Columns, settings: Any) -> dict[str, Tensor]:
        """The same output -> scalars that say what the update did (names in ``metrics.py``)."""
        return {}

    @staticmethod
    def suits(settings: Any, head: Head) -> None:
        """Refuse settings that would do nothing with such actions, or actions of the wrong kind.

        Raises:
            InputError: saying what to change.
        """

    @staticmethod
    def initial_coefficients(settings: Any) -> dict[str, float]:
        """Coefficients that change during training; they are part of every checkpoint."""
        return {}

    @staticmethod
    def scheduled(
        coefficients: dict[str, float], settings: Any, progress: float
    ) -> dict[str, float]:
        """The coefficients at this share of the training budget."""
        return coefficients

    @staticmethod
    def adapted(
        coefficients: dict[str, float], settings: Any, stats: Mapping[str, float]
    ) -> dict[str, float]:
        """The coefficients after an update with these statistics."""
        return coefficients

    @staticmethod
    def enough(settings: Any, measure: Callable[[], Mapping[str, Tensor]]) -> bool:
        """Whether to leave out the remaining epochs; ``measure()`` the last minibatch to decide."""
        return False

    @property
    def settings(self) -> Any:
        """This algorithm's own settings."""
        return self.config.settings

    # The loop.

    @classmethod
    def get_default_config(cls) -> ColumnConfig:
        """RLlib's hook."""
        return ColumnConfig(cls)

    def setup(self, config: Any) -> None:
        """Build runners and learners (RLlib) and our own counters."""
        self.env_steps = 0
        self.recent_returns: deque[float] = deque(maxlen=100)
        self.flat: dict[str, Any] = {}
        if config.settings.num_env_runners:
            # RLlib loses the error of a remote runner that cannot make its environment.
            make_vector_env(config.env, config.env_config, 1).close()
        super().setup(config)
        assert self.spaces is not None  # noqa: S101
        self.suits(self.settings, head_for(self.spaces[DEFAULT_MODULE_ID][1]))
        self.push_weights()

    def training_step(self) -> None:
        """One iteration: collect rows, learn from them, hand the new weights to the runners."""
        started = time.perf_counter()
        rows, metrics = self._collect()
        self.env_steps += len(rows)
        if metrics["nonfinite"]:
            # Learning from NaN would only hide where it came from.
            metrics["learn_s"] = 0.0
        else:
            metrics |= self._learn(rows)
            self.push_weights()
        seconds = time.perf_counter() - started
        self.flat = metrics | {
            "env_steps": self.env_steps,
            "iteration_s": seconds,
            "env_steps_per_s": len(rows) / seconds,
        }

    def _collect(self) -> tuple[Columns, dict[str, Any]]:
        """Rows of at least one iteration from whichever runners are healthy."""
        group = self.env_runner_group
        assert group is not None  # noqa: S101
        parts: list[tuple[Columns, dict[str, Any]]] = []
        wanted = self.settings.rows
        while sum(len(rows) for rows, _ in parts) < 0.95 * wanted:
            if not group.num_remote_env_runners():
                found = [_sample(group.local_env_runner)]
            else:
                found = group.foreach_env_runner(_sample, local_env_runner=False)
            if not found:
                self.restore_env_runners(group)
                if not group.num_healthy_remote_workers():
                    raise RuntimeError("No rollout worker is alive; see the workers' logs for why.")
            for part in found:
                if isinstance(part, EnvironmentFault):
                    raise part
                parts.append(part)
        metrics = merged([statistics for _, statistics in parts])
        lost = group.num_remote_env_runners() - group.num_healthy_remote_workers()
        why = hang_reports(Path(self.config.faults), "runner") if lost else []
        metrics |= {"runners_lost": lost, "runners_lost_why": "; ".join(why)}
        for _, statistics in parts:
            self.recent_returns.extend(statistics["episodes"].get("episode_return", []))
        if self.recent_returns:
            metrics["return_mean_100"] = float(np.mean(self.recent_returns))
        return concat([rows for rows, _ in parts]), metrics

    def _learn(self, rows: Columns) -> dict[str, Any]:
        started = time.perf_counter()
        settings = self.settings
        rows, metrics = self.prepare(rows, settings)
        learners = settings.num_learners
        # With remote learners RLlib would cut the batch itself, which it can do to its own only.
        shards: Any = rows.shard(learners) if learners else rows
        data = TrainingData(batches=shards) if learners else TrainingData(batch=shards)
        group = self.learner_group
        assert group is not None  # noqa: S101
        progress = (self.iteration + 1) / self.config.total_iterations
        results = group.update(training_data=data, timesteps={PROGRESS: progress})
        self.metrics.aggregate(results, key="learners")
        learnt = self.metrics.peek(("learners", DEFAULT_MODULE_ID), default={})
        # RLlib's own names in there (parameter counts, ...) are not in the catalogue.
        metrics |= {n: float(v) for n, v in learnt.items() if n in METRICS or n == SKIPPED}
        if metrics.pop(SKIPPED, 0):
            metrics |= {"nonfinite": 1, "nonfinite_where": "the gradient of the loss"}
        metrics["learn_s"] = time.perf_counter() - started
        return metrics

    def step(self) -> dict[str, Any]:
        """RLlib's result with our flat metrics beside its nested ones."""
        return super().step() | self.flat

    # Weights and checkpoints: RLlib sends weights without waiting and drops the call when another
    # is under way, so that a runner may sample with old ones. Here every transfer is waited for.

    def push_weights(self) -> None:
        """Give every runner the learners' weights and wait until it has them."""
        group, learners = self.env_runner_group, self.learner_group
        assert group is not None and learners is not None  # noqa: S101
        state = learners.get_state(components=WEIGHTS)[COMPONENT_LEARNER]
        local: Any = group.local_env_runner
        if local is not None:
            local.set_state(state)
        if group.num_remote_env_runners():
            shared = state | {COMPONENT_RL_MODULE: ray.put(state[COMPONENT_RL_MODULE])}
            group.foreach_env_runner(
                "set_state",
                kwargs={"state": shared},
                local_env_runner=False,
                timeout_seconds=SYNC_TIMEOUT_S,
            )

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Bring back restarted runners and give them the current weights."""
        restored = env_runner_group.probe_unhealthy_env_runners()
        if restored:
            self.push_weights()
        return restored

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state and our counters."""
        own = {"env_steps": self.env_steps, "recent_returns": list(self.recent_returns)}
        return super().get_state(*args, **kwargs) | {"rungwise": own}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state; every runner holds its weights before this returns."""
        super().set_state(state)
        if own := state.get("rungwise"):
            self.env_steps = own["env_steps"]
            self.recent_returns = deque(own["recent_returns"], maxlen=100)
        self.push_weights()

    def restore_from_path(self, path: str | Path, *args: Any, **kwargs: Any) -> None:
        """Restore; every runner holds the restored weights before this returns."""
        super().restore_from_path(path, *args, **kwargs)
        group: Any = self.env_runner_group
        # Remote runners are not part of a checkpoint: they must not live through their first
        # episodes a second time.
        group.foreach_env_runner(
            "reseed", kwargs={"restored_at": self.iteration}, local_env_runner=False
        )
        self.push_weights()


def _sample(runner: Any) -> Any:
    """Sample, handing an environment's own failure over as a value: RLlib would swallow it."""
    try:
        return runner.sample()
    except EnvironmentFault as fault:
        return fault
