"""One agent of a trial that is trained by one of RLlib's own algorithms.

It offers what a trial asks of our own algorithms: iterations with flat metrics by the catalogue's
names, and a state that can be saved and restored.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.utils.debug import update_global_seed_if_necessary
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from algos.algorithm import WEIGHTS
from algos.policy import write_policy
from algos.rllib.rllib_algorithms import EPISODE_METRICS, STEP_METRICS, build_rllib_algorithm
from algos.rollouts.env_factory import make_single_env
from algos.rollouts.environment_fault import EnvironmentFault
from envs.adapters.time_limit import find_time_limit
from rungwise.logs.log_record import Record, flatten
from rungwise.logs.translation import translate_log
from rungwise.metrics import INFO_METRICS
from rungwise.moved_modules import MovedUnpickler
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.rllib_settings import RLlibSettings

RESULTS, BUFFER = "rllib_results.pkl", "replay_buffer.pkl"
"""Files of its saved state: the results that new ones are read with, and the replay buffer."""
FIRST, LAST = 20, 60
"""Results that a new one is read together with: the first show what the largest entropy is, the
last whether a NaN stays."""
WARM_UP = "num_steps_sampled_before_learning_starts"
"""The setting of its random steps before the first update, where it has one."""
GAMMA = "config/gamma"
"""The one of its settings that is judged."""


def _reseed(runner: Any, iteration: int) -> None:
    """Give an env runner new randomness, which is no part of RLlib's state.

    With the seed of the beginning it would meet the episodes of the beginning again.
    """
    words = np.random.SeedSequence([runner._seed, iteration]).generate_state(1)
    runner._seed = int(words[0] >> 1)  # 31 bits, as environments take them
    update_global_seed_if_necessary("torch", runner._seed)


class RLlibAgent:
    """One of RLlib's own algorithms, in the environment of a job.

    With a budget of steps an iteration is an equal part of it: RLlib collects until its own count
    of environment steps has reached that part. Without one an iteration is one of RLlib's.

    Args:
        job: the job.
        settings: the settings of this trial.
        env_kwargs: the arguments of its environment.
        seed: seeds networks, environments and shuffling.
        gpus: GPUs of each learner.
        fault_file: where a failure of the environment is noted.
    """

    def __init__(
        self,
        job: Job,
        settings: RLlibSettings,
        env_kwargs: Mapping[str, Any],
        *,
        seed: int,
        gpus: float,
        fault_file: Path,
    ) -> None:
        self.job, self.settings, self.env_kwargs = job, settings, dict(env_kwargs)
        # Made here, too: RLlib loses the error of a remote runner that cannot make its environment.
        env = make_single_env(job.env, self.env_kwargs)
        self.spaces = (env.observation_space, env.action_space)
        limit = find_time_limit(env)
        env.close()
        self.algorithm = build_rllib_algorithm(
            job.algo,
            job.env,
            env_kwargs,
            settings.values,
            seed=seed,
            gpus=gpus,
            fault_file=str(fault_file),
        )
        warm_up = getattr(self.algorithm.config, WARM_UP, 0)
        limits = {"time_limit": limit, "warm_up_steps": warm_up}
        self._limits = {name: steps for name, steps in limits.items() if steps}
        self._fault_file = fault_file
        fault_file.unlink(missing_ok=True)  # of an attempt before
        self.flat_metrics: dict[str, Any] = {}
        self._results: list[Record] = []

    @property
    def iteration(self) -> int:
        """The iterations that it has trained."""
        return self.algorithm.iteration

    @property
    def env_steps(self) -> int:
        """Environment steps since the start, as RLlib counts them."""
        key = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
        return int(self.algorithm.metrics.peek(key, default=0))

    def train(self) -> None:
        """Train for one iteration and set the metrics.

        Raises:
            EnvironmentFault: the environment failed.
        """
        job, first_step, start = self.job, self.env_steps, time.perf_counter()
        if job.steps:
            target = -(-job.steps * (self.iteration + 1) // job.iterations)
            # 0 would have RLlib collect any number.
            self.algorithm.config.min_sample_timesteps_per_iteration = max(1, target - first_step)
        try:
            result = self.algorithm.train()
        except Exception as error:
            if not self._fault_file.exists():
                raise
            raise EnvironmentFault(self._fault_file.read_text()) from error
        seconds = time.perf_counter() - start
        self.flat_metrics = self._translate(result) | {
            "env_steps": self.env_steps,
            "env_steps_per_s": (self.env_steps - first_step) / seconds,
            "iteration_s": seconds,
            **self._limits,
        }

    def _translate(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metrics of a result by the names of the catalogue."""
        numbers = {
            name: float(value)  # of numpy, most of them
            for name, value in flatten(result).items()
            if isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if (name == GAMMA or not name.startswith("config/"))
        }
        record = Record(f"iteration {self.iteration}", numbers)
        results = [*self._results, record]
        self._results = (
            results if len(results) <= FIRST + LAST else [*results[:FIRST], *results[-LAST:]]
        )
        log = translate_log(Path(self.job.algo), "", "", results, {})
        is_row = bool(log.places) and log.places[-1] == len(results) - 1
        metrics = {**log.rows[-1]} if is_row else {}
        # Numbered within what was read together; the others are asked for even where none is known.
        metrics.pop("iteration", None)
        metrics["episodes"] = int(metrics.get("episodes", 0))
        start = f"{ENV_RUNNER_RESULTS}/{EPISODE_METRICS}/"
        of_env = {n.removeprefix(start): v for n, v in numbers.items() if n.startswith(start)}
        metrics |= {INFO_METRICS.get(n, n): v for n, v in of_env.items()}
        # They score a trial in which no episode ends.
        rewards, steps, longest = (
            numbers.get(f"{ENV_RUNNER_RESULTS}/{STEP_METRICS}/{name}", 0.0)
            for name in ("rewards", "steps", "running_length_max")
        )
        of_steps = {"reward_mean": rewards / steps, "running_length_max": longest} if steps else {}
        return {"nonfinite": 0} | metrics | of_steps

    def save_to_path(self, directory: Path) -> None:
        """Save what continuing the training needs."""
        self.algorithm.save_to_path(directory)
        (directory / RESULTS).write_bytes(pickle.dumps(self._results))
        # RLlib leaves it out: training would continue with an empty one.
        buffer = self.algorithm.local_replay_buffer
        if buffer is not None and self.settings.values.get("store_buffer_in_checkpoints", True):
            (directory / BUFFER).write_bytes(pickle.dumps(buffer.get_state()))

    def restore_from_path(self, directory: Path) -> None:
        """Continue from what :meth:`save_to_path` has saved."""
        self.algorithm.restore_from_path(directory)
        with (directory / RESULTS).open("rb") as file:
            self._results = MovedUnpickler(file).load()
        if (directory / BUFFER).exists():
            self.algorithm.local_replay_buffer.set_state(
                pickle.loads((directory / BUFFER).read_bytes())
            )
        group = self.algorithm.env_runner_group
        if group is not None:  # offline there is none
            group.foreach_env_runner(partial(_reseed, iteration=self.iteration))

    def save_policy(self, directory: Path) -> None:
        """Write what acting needs: ``policy.json`` and ``weights.safetensors``."""
        job = self.job
        state = self.algorithm.learner_group.get_state(WEIGHTS, inference_only=True)
        weights = state[COMPONENT_LEARNER][COMPONENT_RL_MODULE][DEFAULT_MODULE_ID]
        metadata = {
            "algo": job.algo,
            "env": job.env,
            "env_kwargs": self.env_kwargs,
            "evaluation_env_kwargs": job.evaluation_env_kwargs,
            "settings": self.settings.values,
            "iteration": self.iteration,
            "env_steps": self.env_steps,
        }
        write_policy(directory, metadata, weights, *self.spaces)

    def stop(self) -> None:
        """Stop its processes."""
        self.algorithm.stop()
