"""The training loop: collect rollouts, compute advantages, learn, and send the weights back.

One iteration, for T steps of B copies of the environment in each runner (``rollout_length``,
``num_envs``) and N = T B rows for each of them. RLlib's EnvRunnerGroup and LearnerGroup provide
processes, GPUs and restarts; everything that an algorithm decides is a hook of its objective
(``objective.py``)::

    before the first iteration                 prepare(): warm start; stage 1 of A*-PO
    env runners, at the same time              collect_rows(), rollouts/env_runner.py
        rollout [T, B] = policy steps all copies together; B == num_envs
        next_values [T, B] = bootstrap(values, last_values, terminated, truncated, final_values)
        rows [N] = compute_advantages(rollout)
    driver                                     training_step(), this file
        rows [runners N] = all runners' rows after one another; episode statistics -> metrics
        rows, metrics = preprocess_batch(rows)
        advantages *= 1/4 before the first reward differs           reward_signal.py
    learners, each with an equal share         ColumnLearner.update(), learning/learner.py
        coefficients = schedule_coefficients(coefficients, progress)
        rows += compute_reference_columns(reference(rows), rows)      if there is a reference
        for each epoch, until should_stop_epochs(measure):
            for each shuffled minibatch [minibatch_size]:
                forward = network(build_network_inputs(minibatch))
                terms, measure = loss(forward, minibatch, coefficients)
                gradient of the terms' mean, averaged over learners, clipped; optimiser step
                (by autograd, or for small networks on NumPy: learning/quick_gradients.py)
        coefficients = adapt_coefficients(coefficients, metrics)
        every warm_start_interval iterations, last: BehaviourCloning of the teacher's rows
    driver                                     push_weights(), this file
        every runner receives the new weights and acknowledges them
"""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.metrics import WEIGHTS_SEQ_NO

from algos.actions.head import ActionHead
from algos.actions.kinds import make_action_head
from algos.deferred_compiler import defer_compiler
from algos.learning.behaviour_cloning import collect_teacher_rows, merge_teacher_weights
from algos.learning.learner import CLONE, PROGRESS, SCORE
from algos.learning.scheduled_noise import update_noise
from algos.learning.update_log import SKIPPED_UPDATES
from algos.objective import Objective
from algos.rllib.column_config import ColumnConfig
from algos.rollouts import rollout_io
from algos.rollouts.columns import Columns, concat
from algos.rollouts.curriculum import Curriculum
from algos.rollouts.env_factory import make_vector_env
from algos.rollouts.environment_fault import EnvironmentFault
from algos.rollouts.episode_statistics import merge_statistics
from algos.rollouts.group_sampler import TRAINING_SEED
from algos.rollouts.return_scale import ReturnScale, rescale_values
from algos.rollouts.reward_signal import WITHOUT_SIGNAL, RewardSignal
from algos.rollouts.rollout import scale_advantages
from algos.rollouts.runner_group import (
    SYNC_TIMEOUT_S,
    collect_samples,
    renew_environments,
    reseed_runners,
    wait_for_restart,
)
from algos.rollouts.unfinished_episodes import measure_unfinished
from algos.rollouts.watchdog import take_hang_reports
from algos.settings.training import TrainingSettings
from envs.contract.batched import World, get_world
from rungwise.metrics import METRICS
from rungwise.validation import InputError

WEIGHTS = COMPONENT_LEARNER + "/" + COMPONENT_RL_MODULE


class ColumnAlgorithm(Algorithm):
    """The training loop that every algorithm shares, as RLlib's Algorithm."""

    settings_class: ClassVar[type[TrainingSettings]]
    objective_class: ClassVar[type[Objective[Any]]]
    config: Any

    @property
    def settings(self) -> Any:
        """The algorithm's settings."""
        return self.config.settings

    @property
    def objective(self) -> Objective[Any]:
        """The algorithm's objective, with its settings."""
        return self.config.make_objective()

    @classmethod
    def get_default_config(cls) -> ColumnConfig:
        """Return RLlib's configuration of this algorithm."""
        return ColumnConfig(cls)

    def setup(self, config: Any) -> None:
        """Build runners and learners (RLlib) and our own counters."""
        self.env_steps, self.training_started = 0, False
        self.recent_returns: deque[float] = deque(maxlen=100)
        self.recent_lengths: deque[float] = deque(maxlen=100)
        self.flat_metrics: dict[str, Any] = {}
        self.preparation_metrics: dict[str, Any] = {}
        """Metrics of what precedes the first iteration, until that reports them."""
        # Before any runner: RLlib loses the error of a remote one that cannot make its environment.
        env = make_vector_env(config.env, config.env_config, 1)
        world = get_world(env)
        objective = config.make_objective()
        objective.validate_world(world, config.env)
        self.curriculum = Curriculum(world)
        self.reward_scale, self.reward_signal = ReturnScale(), RewardSignal()
        env.close()
        with defer_compiler():
            super().setup(config)
        # Runners have built networks of their own: the first rollout must use the learners'
        # weights.
        objective.validate_action_space(self._make_head())
        self.push_weights()

    def training_step(self) -> None:
        """Run one iteration: collect rows, learn from them, send the new weights to the runners."""
        started = time.perf_counter()
        self.prepare()
        unit = self.reward_scale.unit  # of the rewards that are collected now
        rows, metrics = self.collect_rows()
        # Now: collecting may fail, and the iteration that is tried again reports them.
        first, self.preparation_metrics = self.preparation_metrics, {}
        steps = metrics.pop("steps")
        self.env_steps += steps
        if metrics["nonfinite"]:
            # Learning from NaN would only hide where it came from.
            metrics["learn_s"] = 0.0
        else:
            metrics |= self._learn(
                rows, metrics.get(self.curriculum.score_metric or "return_mean_100")
            )
            metrics |= self._repeat_warm_start()
            if getattr(self.settings, "normalise_rewards", False):
                group: Any = self.learner_group
                group.foreach_learner(partial(rescale_values, unit / self.reward_scale.unit))
            self.push_weights()
        seconds = time.perf_counter() - started
        self.flat_metrics = (
            first
            | metrics
            | {
                "env_steps": self.env_steps,
                "iteration_s": seconds,
                "env_steps_per_s": steps / seconds,
            }
        )

    def prepare(self, seconds: float = math.inf) -> bool:
        """Run what precedes the first iteration, or a part of it; return whether it is over.

        The first iteration runs what is left of it. As it can take hours (stage 1 of A*-PO), a
        caller may run it in parts before that and report ``preparation_metrics`` in between.

        Args:
            seconds: the time after which no further part starts.
        """
        if not self.training_started:
            self.preparation_metrics |= self.start_training()
            self.training_started = True
        return True

    def start_training(self) -> dict[str, Any]:
        """Warm-start the policy, if the settings ask for it; return the metrics of that."""
        s = self.settings
        if not s.warm_start:
            return {}
        world = self._make_world()
        if world and self._load_teacher_weights(world.get_network_weights(s.warm_start)):
            return {}
        metrics = self._imitate_teacher(world, s.warm_start_episodes, 0)
        self.push_weights()
        return metrics

    def _repeat_warm_start(self) -> dict[str, Any]:
        """Imitate the teacher again where the settings ask for it; return the metrics of that."""
        s, done = self.settings, self.iteration + 1
        # Never at the end: the result would be a policy that nothing corrects any more.
        over = done >= self.config.total_iterations
        if not s.warm_start_interval or done % s.warm_start_interval or over:
            return {}
        # Never by a teacher's own weights: they would undo the training.
        return self._imitate_teacher(self._make_world(), (s.warm_start_episodes + 1) // 2, done)

    def _imitate_teacher(
        self, world: World[Any] | None, episodes: int, iteration: int
    ) -> dict[str, Any]:
        """Update the learners on episodes of the teacher that no other iteration plays."""
        s = self.settings
        seed = TRAINING_SEED + (self.config.seed or 0) + iteration * s.warm_start_episodes
        rows = collect_teacher_rows(s.warm_start, world, self._make_head(), episodes, seed)
        progress = iteration / self.config.total_iterations
        metrics = self._update_learners(rows, {PROGRESS: progress, CLONE: True})
        return {"warm_start_loss": metrics["warm_start_loss"]}

    def _make_world(self) -> World[Any] | None:
        """Return the batched world of training; None for any other Gymnasium environment."""
        env = make_vector_env(self.config.env, self.config.env_config, 1)
        world = get_world(env)
        env.close()
        return world

    def _load_teacher_weights(self, network: Mapping[str, Any] | None) -> bool:
        """Start from a teacher's own weights, if a part of the policy has their shapes."""
        group: Any = self.learner_group
        weights = merge_teacher_weights(group.get_weights()[DEFAULT_MODULE_ID], network)
        if weights:
            modules = {COMPONENT_RL_MODULE: {DEFAULT_MODULE_ID: weights}}
            group.set_state({COMPONENT_LEARNER: modules})
            self.push_weights()
        return bool(weights)

    def _make_head(self) -> ActionHead:
        assert self.spaces is not None  # noqa: S101
        s = self.settings
        return make_action_head(self.spaces[DEFAULT_MODULE_ID][1], s.value_distribution, s.bins)

    def collect_rows(self, **sample_kwargs: object) -> tuple[Columns, dict[str, Any]]:
        """Collect a rollout per runner; healthy runners sample again for lost ones.

        ``sample_kwargs`` are arguments of the runner's ``sample``.
        """
        group, losses = self.env_runner_group, 0
        assert group is not None  # noqa: S101
        parts: list[Any] = []
        while len(parts) < self.settings.runners:
            samples = collect_samples(group, sample_kwargs)
            if not samples:
                losses += 1
                wait_for_restart(group, self.restore_env_runners, losses)
            parts.extend(samples)
        return self._merge_samples(parts)

    def _merge_samples(self, parts: list[Any]) -> tuple[Columns, dict[str, Any]]:
        """Return the rows and metrics of all runners' samples."""
        group: Any = self.env_runner_group
        for part in parts:
            if isinstance(part, EnvironmentFault):
                raise part
        metrics = merge_statistics([statistics for _, statistics in parts])
        lost = group.num_remote_env_runners() - group.num_healthy_remote_workers()
        why = take_hang_reports(Path(self.config.hang_report_dir), "runner") if lost else []
        metrics |= {"runners_lost": lost, "runners_lost_why": "; ".join(why)}
        for _, statistics in parts:
            returns = statistics["episodes"].get("episode_return", [])
            self.recent_returns.extend(filter(math.isfinite, returns))
            self.recent_lengths.extend(statistics["episodes"].get("episode_length", []))
            self.reward_scale.record_returns(returns)
            self.reward_signal.record(*statistics["reward_signal"])
        metrics |= self.curriculum.record_episodes(
            statistics["episodes"] for _, statistics in parts
        )
        metrics |= measure_unfinished(
            [statistics["running"] for _, statistics in parts], self.recent_lengths
        )
        if self.recent_returns:
            metrics["return_mean_100"] = float(np.mean(self.recent_returns))
        if self.settings.record:
            self._record_rollouts(concat([statistics["recorded"] for _, statistics in parts]))
        return concat([rows for rows, _ in parts]), metrics

    def _record_rollouts(self, rows: Columns) -> None:
        folder, seed, iteration = self.settings.record, self.config.seed, self.iteration + 1
        path = rollout_io.get_recording_path(folder, seed, iteration)
        rollout_io.write_columns(rows, path, env=self.config.env, algorithm=type(self).__name__)

    def _learn(self, rows: Columns, score: float | None = None) -> dict[str, Any]:
        started = time.perf_counter()
        rows, metrics = self.objective.preprocess_batch(rows)
        if self.objective.has_critic and not self.reward_signal.found:
            rows = scale_advantages(rows, WITHOUT_SIGNAL)
        progress = (self.iteration + 1) / self.config.total_iterations
        # E.g. no group's returns differed. A learner without rows would make the others wait.
        if len(rows) < max(self.settings.num_learners, 1):
            group: Any = self.learner_group
            group.foreach_learner(partial(update_noise, progress, score))
            return metrics | {"updates": 0, "learn_s": time.perf_counter() - started}
        update = self._update_learners(rows, {PROGRESS: progress, SCORE: score})
        metrics |= {n: v for n, v in update.items() if n in METRICS or n == SKIPPED_UPDATES}
        if metrics.pop(SKIPPED_UPDATES, 0):
            metrics |= {"nonfinite": 1, "nonfinite_where": "the gradient of the loss"}
        metrics["learn_s"] = time.perf_counter() - started
        return metrics

    def _update_learners(self, rows: Columns, timesteps: dict[str, Any]) -> dict[str, float]:
        """Update the learners on the rows; return their metrics."""
        learners, group = self.settings.num_learners, self.learner_group
        assert group is not None  # noqa: S101
        # Remote learners get shards from here: RLlib can cut only batches of its own class.
        shards: Any = rows.shard(learners) if learners else rows
        data = TrainingData(batches=shards) if learners else TrainingData(batch=shards)
        results = group.update(training_data=data, timesteps=timesteps)
        metrics = defaultdict[str, list[float]](list)
        for name, value in chain.from_iterable(r[DEFAULT_MODULE_ID].items() for r in results):
            metrics[name].append(float(value))  # some are known of one learner's rows alone
        return {name: sum(values) / len(values) for name, values in metrics.items()}

    def evaluate(self, parallel_train_future: object = None) -> NoReturn:
        """Refuse RLlib's evaluation: its runners collect episodes, ours columns of steps.

        Raises:
            InputError: always; names what evaluates instead.
        """
        raise InputError(
            "Algorithm.evaluate() and evaluation_interval of RLlib are not supported: evaluate a "
            "checkpoint (`rungwise evaluate CHECKPOINT`), or set held_out_interval in the job to "
            "evaluate during training."
        )

    def step(self) -> dict[str, Any]:
        """Return RLlib's result with our flat metrics added."""
        return super().step() | self.flat_metrics

    # Weights and checkpoints: RLlib sends weights without waiting and drops the call when another
    # is under way, so that a runner may sample with old ones. Here every transfer is waited for.

    def push_weights(self) -> None:
        """Send every runner the learners' weights and the stage; wait until it has them."""
        group, learners = self.env_runner_group, self.learner_group
        assert group is not None and learners is not None  # noqa: S101
        learner_state = learners.get_state(components=WEIGHTS)[COMPONENT_LEARNER]
        state = {name: learner_state[name] for name in (COMPONENT_RL_MODULE, WEIGHTS_SEQ_NO)}
        state |= {"stage": self.curriculum.stage, "reward_unit": self.reward_scale.unit}
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

    def restore_env_runners(self, env_runner_group: EnvRunnerGroup) -> list[int]:
        """Bring back restarted runners and give them the current weights."""
        restored = env_runner_group.probe_unhealthy_env_runners()
        if restored:
            self.push_weights()  # first: the new episodes begin at the stage that is pushed
            reseed_runners(env_runner_group, self.iteration, restored)
        return restored

    def renew_environments(self) -> None:
        """Make the environments anew; the iteration in which they failed can be tried again.

        Raises:
            EnvironmentFault: they fail again.
        """
        renew_environments(self.env_runner_group)

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state and our counters."""
        progress = {"env_steps": self.env_steps, "training_started": self.training_started}
        progress |= {"recent_returns": list(self.recent_returns)}
        progress |= {"recent_lengths": list(self.recent_lengths)}
        progress |= {"curriculum": self.curriculum.get_state()}
        progress |= {"reward_scale": self.reward_scale.get_state()}
        progress |= {"reward_signal": self.reward_signal.get_state()}
        return super().get_state(*args, **kwargs) | {"rungwise": progress}

    def set_state(self, state: dict[str, Any]) -> None:
        """Load a state; every runner holds its weights before this returns."""
        super().set_state(state)
        if saved := state.get("rungwise"):
            self.env_steps, self.training_started = saved["env_steps"], saved["training_started"]
            self.recent_returns = deque(saved["recent_returns"], maxlen=100)
            self.recent_lengths = deque(saved.get("recent_lengths", ()), maxlen=100)
            self.curriculum.set_state(saved["curriculum"])
            self.reward_scale.set_state(saved.get("reward_scale", self.reward_scale.get_state()))
            self.reward_signal.set_state(saved.get("reward_signal", self.reward_signal.get_state()))
        self.push_weights()

    def restore_from_path(self, path: str | Path, *args: object, **kwargs: object) -> None:
        """Restore a checkpoint; every runner holds the restored weights before this returns."""
        super().restore_from_path(path, *args, **kwargs)
        self.push_weights()  # first: the new episodes begin at the stage that is pushed
        reseed_runners(self.env_runner_group, self.iteration)
        if folder := self.settings.record:
            rollout_io.delete_later_recordings(folder, self.config.seed, self.iteration)
