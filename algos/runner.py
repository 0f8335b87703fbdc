"""The columnar EnvRunner: B copies of an environment advance together and write columns.

RLlib's own runner steps Python objects one environment at a time and pushes lists of episodes
through connector pipelines. This one holds one vector environment, runs the policy on the whole
batch, writes preallocated ``[T, B]`` arrays and lets the algorithm compute its advantages in place.
"""

from __future__ import annotations

import copy
import importlib
import time
import traceback
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import ray
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.checkpoints import Checkpointable

from algos.columns import Columns
from algos.episodes import EpisodeStatistics, RolloutStatistics
from algos.models.base import PolicyModule, observation_columns
from algos.watchdog import Watchdog
from envs.batched import BatchedVectorEnv
from envs.validation import InputError

TRAINING_SEED = 2**30
"""Training seeds lie at or above this and evaluation seeds below, so that the two never meet."""


class EnvironmentFault(RuntimeError):
    """The environment itself failed; the message names the step and the user's own code."""


@dataclass
class Rollout:
    """T steps of B copies, time-major; what an algorithm turns into rows with credit.

    Attributes:
        columns: observation and action columns and ``logp``, each ``[T, B, ...]``.
        rewards, values, following: ``[T, B]``; ``following`` is the value of the next state, with
            terminated and truncated episodes already told apart.
        done, valid: ``[T, B]``; ``valid`` is false for the empty step in which a next-step
            autoreset environment only resets.
    """

    columns: dict[str, np.ndarray[Any, Any]]
    rewards: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]
    following: np.ndarray[Any, Any]
    done: np.ndarray[Any, Any]
    valid: np.ndarray[Any, Any]

    def rows(self, **credit: np.ndarray[Any, Any]) -> Columns:
        """The valid steps as rows, with further ``[T, B]`` columns."""
        valid = self.valid.reshape(-1)
        flat = {
            name: column.reshape(-1, *column.shape[2:])
            for name, column in (self.columns | credit).items()
        }
        table = Columns(flat)
        return table if valid.all() else table.select(np.flatnonzero(valid))


def env_spec(env_id: str) -> EnvSpec:
    """Gymnasium's entry for an environment, whose module (``module:Name-v0``) is imported.

    Raises:
        InputError: no environment has that id.
    """
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)  # registers its environments
        return gymnasium.spec(name)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        raise InputError(f"There is no environment {env_id!r}: {error}") from error


def make_vector_env(
    env_id: str, env_kwargs: dict[str, Any], num_envs: int
) -> VectorEnv[Any, Any, Any]:
    """``num_envs`` copies of a registered environment, natively batched where it can be.

    Raises:
        InputError: an environment that does not exist or does not take these arguments.
    """
    native = env_spec(env_id).vector_entry_point is not None
    how: dict[str, Any] = {"vectorization_mode": "vector_entry_point"}
    if not native:
        how = {
            "vectorization_mode": "sync",
            "vector_kwargs": {"autoreset_mode": AutoresetMode.SAME_STEP},
        }
    try:
        return gymnasium.make_vec(env_id, num_envs, **how, **env_kwargs)
    except TypeError as error:
        raise InputError(f"{env_id} cannot be made with {env_kwargs}: {error}") from error


class ColumnRunner(EnvRunner, Checkpointable):
    """Collects columns with one vector environment (RLlib's EnvRunner contract)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        config: Any = self.config  # ours; see ColumnConfig
        self.settings = config.settings
        self.algorithm = config.algo_class
        self.env_id: str = config.env
        self.env: Any = None
        self.spaces = kwargs.get("spaces")
        self.module: PolicyModule | None = None
        self.weights_seq_no = 0
        self._seed_with(0)
        # The trial's own process is watched by the trial; a runner elsewhere watches itself.
        self.watchdog = (
            Watchdog(Path(config.faults), f"runner{self.worker_index}", self.settings.hang_s)
            if self.worker_index
            else None
        )
        if not self.worker_index and self.config.num_env_runners and self.spaces:
            return  # the driver's own runner only holds spaces when remote ones collect
        self.make_env()
        self.make_module()

    def _seed_with(self, restored_at: int) -> None:
        entropy = [self.config.seed or 0, self.worker_index or 0, restored_at]
        first, second = np.random.SeedSequence(entropy).generate_state(2)
        self.env_seed = int(TRAINING_SEED + first % (TRAINING_SEED - 2**16))
        self.generator = torch.Generator().manual_seed(int(second))

    def reseed(self, restored_at: int) -> None:
        """Start new episodes from randomness of its own after a restore at this iteration."""
        self._seed_with(restored_at)
        self.env.close()
        self.make_env()

    def make_env(self) -> None:
        """Create the environment and reset every copy."""
        count = self.settings.num_envs
        self.env = make_vector_env(self.env_id, self.config.env_config, count)
        self.autoreset = self.env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if self.autoreset == AutoresetMode.DISABLED:
            raise InputError(f"{self.env_id} never resets itself; use an autoreset vector mode.")
        names = getattr(getattr(self.env, "world", None), "episode_metrics", ())
        self.statistics = EpisodeStatistics(count, names)
        self.steps = 0
        self.reset_next = np.zeros(count, bool)
        observation, _ = self._guarded(self.env.reset, seed=self.env_seed)
        self.observation = observation_columns(observation)

    def make_module(self) -> None:
        """Create the policy network."""
        spec = self.config.get_rl_module_spec(spaces=self.get_spaces(), inference_only=False)
        built: Any = spec.build()
        self.module = built

    def get_spaces(self) -> dict[str, Any]:
        """Batched and single spaces, as RLlib wants them."""
        if self.env is None:
            return self.spaces or {}
        single = (self.env.single_observation_space, self.env.single_action_space)
        return {
            INPUT_ENV_SPACES: (self.env.observation_space, self.env.action_space),
            INPUT_ENV_SINGLE_SPACES: single,
            DEFAULT_MODULE_ID: single,
        }

    def sample(self, **kwargs: Any) -> tuple[Columns, dict[str, Any]]:
        """One rollout as rows with credit, and its statistics (see ``algos/metrics.py``)."""
        started = time.perf_counter()
        with self.watchdog.watching() if self.watchdog else nullcontext():
            rollout, statistics = self._rollout(self.settings.rollout_length)
        rows = self.algorithm.credit(rollout, self.settings)
        self.num_env_steps_sampled_lifetime += len(rows)
        return rows, statistics | {"sample_s": time.perf_counter() - started}

    def _rollout(self, length: int) -> tuple[Rollout, dict[str, Any]]:
        env, policy = self.env, self.module
        assert policy is not None  # noqa: S101
        T, B = length, env.num_envs
        columns: dict[str, np.ndarray[Any, Any]] = {}
        rewards, values, final_values = (np.zeros((T, B), np.float32) for _ in range(3))
        terminated, truncated = np.zeros((T, B), bool), np.zeros((T, B), bool)
        same_step = self.autoreset == AutoresetMode.SAME_STEP
        statistics = RolloutStatistics(self.statistics, policy.head.choices)
        for t in range(T):
            action, logp, value = policy.act(self.observation, self.generator)
            acted = {name: part.numpy() for name, part in action.items()}
            _write(columns, t, T, {**self.observation, **acted, "logp": logp.numpy()})
            values[t] = value.numpy()
            observation, rewards[t], terminated[t], truncated[t], infos = self._guarded(
                env.step, policy.head.env_action(acted)
            )
            self.observation = observation_columns(observation)
            if infos:
                statistics.note(infos, terminated[t] | truncated[t])
                if same_step and truncated[t].any():
                    final_values[t] = self._final_values(infos, truncated[t])
            self.steps += 1
        last_values = policy.act(self.observation, None, greedy=True)[2].numpy()
        done, valid = terminated | truncated, np.ones((T, B), bool)
        if not same_step:
            # The step after an episode's end only resets: it is no experience. But the final
            # observation is the row after the end; nothing was hidden.
            valid = ~np.concatenate([self.reset_next[None], done[:-1]])
            self.reset_next = done[-1]
            final_values = np.concatenate([values[1:], last_values[None]])
        following = self.algorithm.bootstrap(
            values, last_values, terminated, truncated, final_values
        )
        rollout = Rollout(columns, rewards, values, following, done, valid)
        seen = columns | {"value of the next state": following}
        return rollout, statistics.summary(seen, rewards, done, valid)

    def _final_values(self, infos: dict[str, Any], truncated: np.ndarray[Any, Any]) -> Any:
        """Values [B] of the final observations of truncated copies, 0 elsewhere."""
        final = infos["final_obs"]
        if isinstance(final, np.ndarray) and final.dtype == object:
            # Gymnasium's own vector environments hand over one observation per finished copy.
            place = np.flatnonzero(truncated)
            parts = [observation_columns(final[b]) for b in place]
            batch = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
        else:
            place = np.flatnonzero(truncated)
            batch = {name: column[place] for name, column in observation_columns(final).items()}
        out = np.zeros(len(truncated), np.float32)
        policy: Any = self.module
        out[place] = policy.act(batch, None, greedy=True)[2].numpy()
        return out

    def _guarded(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the environment; its exception becomes a sentence with the user's own frame."""
        try:
            return call(*args, **kwargs)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in frames[1:] if "site-packages" not in frame.filename]
            frame = (own or frames)[-1]
            raise EnvironmentFault(
                f"{self.env_id} failed in {call.__name__}() at step {self.steps} of runner "
                f"{self.worker_index or 0}: {type(error).__name__}: {error} "
                f"({frame.filename}:{frame.lineno} in {frame.name})"
            ) from error

    def get_metrics(self) -> dict[str, Any]:
        """RLlib's own metrics of this runner; ours travel with the columns."""
        return self.metrics.reduce()

    def assert_healthy(self) -> None:
        """Raise unless the runner was fully built."""
        if self.module is None and self.env is not None:
            raise RuntimeError("The runner has an environment but no policy.")

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Weights, random state and, for our own worlds, the environment exactly as it stands."""
        state: dict[str, Any] = {
            "weights_seq_no": self.weights_seq_no,
            "steps_lifetime": self.num_env_steps_sampled_lifetime,
            "generator": self.generator.get_state().numpy(),
        }
        if self.module is not None and self._check_component(
            COMPONENT_RL_MODULE, components, not_components
        ):
            state[COMPONENT_RL_MODULE] = self.module.get_state()
        if isinstance(self.env, BatchedVectorEnv):
            # A world's state is complete and never changed in place; other environments have none.
            state["env"] = {
                "state": self.env.state,
                "observation": self.observation,
                "statistics": copy.deepcopy(self.statistics),
            }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over whatever parts ``state`` has; weights always, whatever their number."""
        if COMPONENT_RL_MODULE in state and self.module is not None:
            weights = state[COMPONENT_RL_MODULE]
            if isinstance(weights, ray.ObjectRef):  # shared by all runners through the object store
                weights = ray.get(weights)
            self.module.set_state(weights.get(DEFAULT_MODULE_ID, weights))
            self.weights_seq_no = state.get("weights_seq_no", 0)
        if "generator" in state:
            self.generator.set_state(torch.from_numpy(state["generator"].copy()))
        self.num_env_steps_sampled_lifetime = state.get(
            "steps_lifetime", self.num_env_steps_sampled_lifetime
        )
        if "env" in state and isinstance(self.env, BatchedVectorEnv):
            self.env.state = state["env"]["state"]
            self.observation = state["env"]["observation"]
            self.statistics = copy.deepcopy(state["env"]["statistics"])

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """How to build this runner again (Checkpointable)."""
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Checkpointable]]:
        """None of its own: the weights are saved with the learner."""
        return []

    def stop(self) -> None:
        """Close the environment."""
        if self.env is not None:
            self.env.close()


def _write(columns: dict[str, Any], t: int, T: int, rows: dict[str, Any]) -> None:
    """Write row t of every column, creating the columns at the first one."""
    for name, row in rows.items():
        if name not in columns:
            columns[name] = np.empty((T, *np.shape(row)), np.asarray(row).dtype)
        columns[name][t] = row
