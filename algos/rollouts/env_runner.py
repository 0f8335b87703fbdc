"""The columnar EnvRunner: B copies of an environment advance together and write columns.

RLlib's own runner steps Python objects one environment at a time and pushes lists of episodes
through connector pipelines. This one holds one vector environment, runs the policy on the whole
batch, writes preallocated ``[T, B]`` arrays and lets the algorithm compute its advantages in place.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from gymnasium.vector import AutoresetMode
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.checkpoints import Checkpointable

from algos.models.base import MASK, PolicyModule, to_observation_columns
from algos.objective import Objective
from algos.rollouts.columns import Columns
from algos.rollouts.env_factory import make_vector_env
from algos.rollouts.episode_statistics import (
    INFO_METRICS,
    EpisodeStatistics,
    RolloutStatistics,
    compute_environment_metrics,
    of_step,
)
from algos.rollouts.rollout import Array, Rollout, mask_first_episodes, number_episodes
from algos.rollouts.watchdog import Watchdog
from envs.batched import BatchedVectorEnv, get_world
from envs.capabilities import SupportsCurriculum, SupportsPolicyWeights
from envs.checking.user_frames import find_user_frame
from envs.validation import InputError

TRAINING_SEED = 2**30
"""Training seeds lie at or above this and evaluation seeds below, so that the two never meet."""


AS_ALWAYS: dict[str, tuple[Any, ...]] = {
    "num_timesteps": (None,),
    "num_episodes": (None,),
    "explore": (None, True),
    "random_actions": (False,),
    "force_reset": (False,),
}
"""Arguments of RLlib's own ``sample``, and the values with which they ask for nothing else."""


class EnvironmentFault(RuntimeError):
    """The environment itself failed; the message names the step and the user's own code."""


class ColumnRunner(EnvRunner, Checkpointable):
    """Collects columns with one vector environment (RLlib's EnvRunner contract)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        config: Any = self.config  # ours; see ColumnConfig
        self.settings = config.settings
        self.objective: Objective[Any] = config.make_objective()
        self.needs = self.objective.needs
        self.env_id: str = config.env
        self.env: Any = None
        self.spaces = kwargs.get("spaces")
        self.module: PolicyModule | None = None
        self.weights_seq_no = self.steps = 0
        self.reward_unit = 1.0
        self._set_seed(0)
        # The trial's own process is watched by the trial; a runner elsewhere watches itself.
        self.watchdog = (
            Watchdog(
                Path(config.hang_report_dir),
                f"runner{self.worker_index}",
                self.settings.hang_limit_s,
            )
            if self.worker_index
            else None
        )
        if not self.worker_index and self.config.num_env_runners and self.spaces:
            return  # the driver's own runner only holds spaces when remote ones collect
        self.make_env()
        self.make_module()

    def _set_seed(self, restored_at: int) -> None:
        self.restored_at = restored_at
        entropy = [self.config.seed or 0, self.worker_index or 0, restored_at]
        first, second = np.random.SeedSequence(entropy).generate_state(2)
        self.env_seed = int(TRAINING_SEED + first % (TRAINING_SEED - 2**16))
        self.generator = torch.Generator().manual_seed(int(second))

    def reseed(self, restored_at: int) -> None:
        """Start new episodes from randomness of its own after a restore at this iteration."""
        self._set_seed(restored_at)
        self.env.close()
        self.make_env()

    def make_env(self) -> None:
        """Create the environment and reset every copy."""
        count = self.settings.num_envs
        self.env = make_vector_env(
            self.env_id, self.config.env_config, count, per_copy_seeds="starts" in self.needs
        )
        self.autoreset = self.env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if self.autoreset == AutoresetMode.DISABLED:
            raise InputError(f"{self.env_id} never resets itself; use an autoreset vector mode.")
        world = get_world(self.env)
        names = world.episode_metrics if world else tuple(INFO_METRICS)
        self.statistics = EpisodeStatistics(count, names)
        self.episode_starts = np.full(count, self.steps)
        self.reset_next = np.zeros(count, bool)
        observation, _ = self._call_env(self.env.reset, seed=self.env_seed)
        self.observation = to_observation_columns(observation)

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

    def sample(
        self, *, starts: Array | None = None, group_size: int = 0, **kwargs: Any
    ) -> tuple[Columns, dict[str, Any]]:
        """Collect one rollout as rows with credit, and its statistics (see ``algos/metrics.py``).

        Args:
            starts: seeds ``[S]`` of episodes to live through, each ``group_size`` times; each
                runner takes as many as it has copies for. It draws its own if None.
            group_size: episodes from each start; 0: as the settings say.
            kwargs: RLlib's own, which may only ask for what is done anyway.

        Raises:
            InputError: what RLlib's own runner does and this one cannot do.
        """
        self._refuse(kwargs)
        started = time.perf_counter()
        with self.watchdog.watch() if self.watchdog else nullcontext():
            if "starts" in self.needs:
                rollout, statistics = self._collect_groups(
                    starts, group_size or self.settings.group_size
                )
            else:
                rollout, statistics = self.collect_rollout(self.settings.rollout_length)
        rows = self.objective.compute_advantages(rollout)
        self.num_env_steps_sampled_lifetime += statistics["steps"]
        if self.settings.record:
            statistics["recorded"] = self._record_steps(rollout)
        return rows, statistics | {"sample_s": time.perf_counter() - started}

    def _refuse(self, asked: dict[str, Any]) -> None:
        """Refuse another number of steps, another policy: credit is given over whole rollouts."""
        for name, value in asked.items():
            if value not in AS_ALWAYS.get(name, ()):
                s = self.settings
                raise InputError(
                    f"sample({name}={value!r}) is not possible: a runner of Rungwise samples "
                    f"rollouts of {s.rollout_length} steps of {s.num_envs} copies, as the settings "
                    "rollout_length and num_envs say. Call sample() as often as you need steps; "
                    "for whole episodes, drawn or greedy, call Algorithm.evaluate()."
                )

    def _collect_groups(
        self, starts: Array | None, group_size: int
    ) -> tuple[Rollout, dict[str, Any]]:
        """One whole episode of each copy, neighbouring copies from the same start."""
        count = self.env.num_envs // group_size
        first = max((self.worker_index or 0) - 1, 0) * count  # this runner's share of them
        share = np.arange(first, first + count)
        own = self._draw_starts(count) if starts is None else np.take(starts, share, mode="wrap")
        seeds = np.repeat(own, group_size)
        observation, _ = self._call_env(self.env.reset, seed=seeds.tolist())
        self.observation = to_observation_columns(observation)
        self.statistics = EpisodeStatistics(len(seeds), self.statistics.metric_names)
        self.reset_next[:], self.episode_starts = False, np.full(len(seeds), self.steps)
        rollout, statistics = self.collect_rollout(self.settings.rollout_length, whole=True)
        shape = rollout.rewards.shape
        rollout.columns["start"] = np.broadcast_to(seeds.astype(np.int64), shape)
        return rollout, statistics

    def _draw_starts(self, count: int) -> Array:
        """Seeds [count] of an iteration's starts: new ones, or some of a fixed number."""
        fixed, generator = self.settings.starts, self.generator
        if not fixed:
            drawn = torch.randint(TRAINING_SEED, (count,), generator=generator).numpy()
        else:
            drawn = torch.randperm(fixed, generator=generator).numpy()
            drawn = np.resize(drawn, count)
        return TRAINING_SEED + drawn

    def collect_rollout(
        self, length: int, *, whole: bool = False
    ) -> tuple[Rollout, dict[str, Any]]:
        """``length`` steps of all copies, or one episode of each that is at most that long."""
        env, policy = self.env, self.module
        assert policy is not None  # noqa: S101
        B, before = env.num_envs, self.steps
        columns: dict[str, Array] = {}
        rewards, values, final_values = (np.zeros((length, B), np.float32) for _ in range(3))
        terminated, truncated = np.zeros((length, B), bool), np.zeros((length, B), bool)
        same_step = self.autoreset == AutoresetMode.SAME_STEP
        statistics = RolloutStatistics(self.statistics, policy.head.choices)
        over = np.zeros(B, bool)
        for t in range(length):
            acted, found, values[t] = self._act()
            _write_row(columns, t, length, {**self.observation, **acted, **found})
            observation, rewards[t], terminated[t], truncated[t], infos = self._call_env(
                env.step, policy.head.to_env_action(acted)
            )
            self.observation = to_observation_columns(observation)
            if policy.hindsight_columns:
                _write_row(
                    columns, t, length, {n: of_step(infos, n) for n in policy.hindsight_columns}
                )
            if "row_logp" in found and (own := of_step(infos, "row_reward")) is not None:
                _write_row(columns, t, length, {"row_reward": own})
            if infos:
                statistics.record_step(infos, (terminated[t] | truncated[t]) & ~over)
                if same_step and truncated[t].any():
                    final_values[t] = self._compute_final_values(infos, truncated[t])
            self.steps += 1
            if whole:
                over |= terminated[t] | truncated[t]
                if over.all():
                    break
        T = self.steps - before
        columns = {name: column[:T] for name, column in columns.items()}
        rewards, values, final_values = rewards[:T], values[:T], final_values[:T]
        terminated, truncated = terminated[:T], truncated[:T]
        last_values = policy.act(self.observation, None, greedy=True)[2].numpy()
        done, valid = terminated | truncated, np.ones((T, B), bool)
        if not same_step:
            # The step after an episode's end only resets: it is no experience. But the final
            # observation is the row after the end; nothing was hidden.
            valid = ~np.concatenate([self.reset_next[None], done[:-1]])
            self.reset_next = done[-1]
            final_values = np.concatenate([values[1:], last_values[None]])
        following = self.objective.bootstrap(
            values, last_values, terminated, truncated, final_values
        )
        if whole:
            done, valid = mask_first_episodes(done)
        rollout = Rollout(columns, rewards, values, following, done, valid, self.reward_unit)
        seen = columns | {"value of the next state": following}
        found = statistics.summarise(seen, rewards, done, valid, columns.get(MASK))
        observed = {n: c for n, c in columns.items() if n.split(".")[0] == "obs"}
        lengths = self.statistics.lengths
        found["condition"] = compute_environment_metrics(
            observed, rewards, done, truncated, lengths
        )
        found["condition"] |= policy.head.compute_action_metrics(columns)
        return rollout, found

    def _act(self) -> tuple[dict[str, Array], dict[str, Array], Array]:
        """Action columns [B, ...], what else to store of the step, and values [B]."""
        policy: Any = self.module
        return policy.act_on_arrays(self.observation, self.generator)

    def _record_steps(self, rollout: Rollout) -> Columns:
        """The steps as they happened, for a file."""
        first = self.steps - len(rollout.done)
        episode, self.episode_starts = number_episodes(rollout.done, self.episode_starts, first)
        # Unique among all runners, restarted ones too, for 6e10 steps of each.
        episode += ((self.worker_index or 0) << 53) + (self.restored_at << 36)
        return rollout.to_rows(reward=rollout.rewards, done=rollout.done, episode=episode)

    def _compute_final_values(self, infos: dict[str, Any], truncated: Array) -> Any:
        """Values [B] of the final observations of truncated copies, 0 elsewhere."""
        final, place = infos["final_obs"], np.flatnonzero(truncated)
        if isinstance(final, np.ndarray) and final.dtype == object:
            # Gymnasium's own vector environments hand over one observation per finished copy.
            parts = [to_observation_columns(final[b]) for b in place]
            batch = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
        else:
            batch = {name: column[place] for name, column in to_observation_columns(final).items()}
        out = np.zeros(len(truncated), np.float32)
        policy: Any = self.module
        out[place] = policy.act(batch, None, greedy=True)[2].numpy()
        return out

    def _call_env(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the environment; its exception becomes a sentence with the user's own frame."""
        try:
            return call(*args, **kwargs)
        except Exception as error:
            frame = find_user_frame(error)
            raise EnvironmentFault(
                f"{self.env_id} failed in {call.__name__}() at step {self.steps} of runner "
                f"{self.worker_index or 0}: {type(error).__name__}: {error}"
                f"{f' ({frame})' if frame else ''}"
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
            "steps": self.steps,
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
                "episode_starts": self.episode_starts,
                "statistics": copy.deepcopy(self.statistics),
            }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over whatever parts ``state`` has; weights always, whatever their number."""
        if COMPONENT_RL_MODULE in state and self.module is not None:
            weights = state[COMPONENT_RL_MODULE]
            if isinstance(weights, ray.ObjectRef):  # shared by all runners through the object store
                weights = ray.get(weights)
            weights = weights.get(DEFAULT_MODULE_ID, weights)
            self.module.set_state(weights)
            self.weights_seq_no = state.get("weights_seq_no", 0)
            if isinstance(self.env, BatchedVectorEnv):
                world = self.env.world
                if isinstance(world, SupportsPolicyWeights):
                    self.env.world = world.with_policy_weights(weights)
        self.reward_unit = state.get("reward_unit", self.reward_unit)
        if "stage" in state and isinstance(self.env, BatchedVectorEnv):
            world = self.env.world
            if isinstance(world, SupportsCurriculum):
                self.env.world = world.at_stage(state["stage"])
        if "generator" in state:
            self.generator.set_state(torch.from_numpy(state["generator"].copy()))
        self.num_env_steps_sampled_lifetime = state.get(
            "steps_lifetime", self.num_env_steps_sampled_lifetime
        )
        if "steps" in state and self.env is not None:  # no number of an episode is used twice
            self.steps, self.episode_starts = (
                state["steps"],
                np.full_like(self.episode_starts, state["steps"]),
            )
        if "env" in state and isinstance(self.env, BatchedVectorEnv):
            self.episode_starts = np.array(state["env"].get("episode_starts", self.episode_starts))
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


def _write_row(columns: dict[str, Any], t: int, T: int, rows: dict[str, Any]) -> None:
    """Write row t of every column, creating the columns at the first one."""
    for name, row in rows.items():
        if name not in columns:
            columns[name] = np.empty((T, *np.shape(row)), np.asarray(row).dtype)
        columns[name][t] = row
