"""The columnar EnvRunner: B copies of an environment advance together and write columns.

RLlib's own runner steps Python objects one environment at a time and pushes lists of episodes
through connector pipelines. This one holds one vector environment, runs the policy on the whole
batch, writes preallocated ``[T, B]`` arrays and lets the algorithm compute its advantages in place.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Collection
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

from algos.deferred_compiler import defer_compiler
from algos.models.base import PolicyModule, to_observation_columns
from algos.models.mlp import MLPPolicy
from algos.objective import Objective
from algos.rollouts.autoreset import carry_state, gather_final_observations
from algos.rollouts.columns import Columns
from algos.rollouts.curriculum import update_world
from algos.rollouts.env_factory import make_vector_env
from algos.rollouts.environment_fault import call_environment
from algos.rollouts.episode_statistics import (
    EpisodeStatistics,
    RolloutStatistics,
    compute_environment_metrics,
    of_step,
)
from algos.rollouts.group_sampler import TRAINING_SEED, GroupSampler
from algos.rollouts.quick_actor import QuickActor
from algos.rollouts.rllib_arguments import refuse_sample_arguments
from algos.rollouts.rollout import Array, Rollout, number_episodes
from algos.rollouts.rollout_buffer import RolloutBuffer
from algos.rollouts.watchdog import Watchdog
from envs.adapters.time_limit import find_time_limit
from envs.contract.agents import PRESENT
from envs.contract.batched import BatchedVectorEnv
from rungwise.validation import InputError


class ColumnRunner(EnvRunner, Checkpointable):
    """RLlib's EnvRunner, collecting columns with one vector environment."""

    def __init__(self, **kwargs: Any) -> None:
        with defer_compiler():
            super().__init__(**kwargs)
        config: Any = self.config  # ours; see ColumnConfig
        self.settings = config.settings
        self.objective: Objective[Any] = config.make_objective()
        self.needs = self.objective.needs
        self.env_id: str = config.env
        self.env: Any = None
        self.spaces = kwargs.get("spaces")
        self.module: PolicyModule | None = None
        self.weights_seq_no = self.steps = self.stage = 0
        self.reward_unit = 1.0
        self._set_seed(0)
        # The trial's own process is watched by the trial; a runner elsewhere watches itself.
        reports, limit_s = Path(config.hang_report_dir), self.settings.hang_limit_s
        name = f"runner{self.worker_index}"
        self.watchdog = Watchdog(reports, name, limit_s) if self.worker_index else None
        if not self.worker_index and self.config.num_env_runners and self.spaces:
            return  # the driver's own runner only holds spaces when remote ones collect
        self.make_env()
        self.make_module()

    def _set_seed(self, restored_at: int) -> None:
        self.restored_at = restored_at
        entropy = [self.config.seed or 0, self.worker_index or 0, restored_at]
        first, second = np.random.SeedSequence(entropy).generate_state(2)
        # Room for 2**16 copies, which get consecutive seeds, below the limit of int32.
        self.env_seed = int(TRAINING_SEED + first % (TRAINING_SEED - 2**16))
        self.generator = torch.Generator().manual_seed(int(second))

    def reseed(self, restored_at: int) -> None:
        """Start new episodes from randomness of its own after a restore at this iteration."""
        self._set_seed(restored_at)
        self.env.close()
        self.make_env()

    def make_env(self) -> None:
        """Create the environment and reset every copy."""
        copies, seeded = self.settings.num_envs, "starts" in self.needs
        self.env = make_vector_env(
            self.env_id, self.config.env_config, copies, per_copy_seeds=seeded
        )
        self.autoreset = self.env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if self.autoreset == AutoresetMode.DISABLED:
            raise InputError(f"{self.env_id} never resets itself; use an autoreset vector mode.")
        self.statistics = EpisodeStatistics.of_env(self.env)
        self.time_limit = find_time_limit(self.env)
        if self.module is not None:  # before the reset, which begins the first episodes
            update_world(self.env, self.stage, self.module.get_state())
        self._reset(self.env_seed)

    def _reset(self, seed: int | list[int]) -> None:
        """Reset every copy; the policy remembers nothing of what was before."""
        observation, infos = self._call_env(self.env.reset, seed=seed)
        self.observation, self.present = to_observation_columns(observation), infos.get(PRESENT)
        count = self.env.num_envs  # of games of several agents a row for each agent
        self.reset_next = np.zeros(count, bool)
        self.episode_starts = np.full(count, self.steps)
        # Empty until the next step, which has the network that remembers.
        self.state: dict[str, Array] = {}

    def make_module(self) -> None:
        """Create the policy network."""
        config: Any = self.config
        spec = config.get_rl_module_spec(spaces=self.get_spaces(), inference_only=False)
        self.module = spec.build().to(config.get_acting_device(self.worker_index or 0))

    def get_spaces(self) -> dict[str, Any]:
        """Return batched and single spaces in RLlib's layout."""
        if self.env is None:
            return self.spaces or {}
        single = (self.env.single_observation_space, self.env.single_action_space)
        return {
            INPUT_ENV_SPACES: (self.env.observation_space, self.env.action_space),
            INPUT_ENV_SINGLE_SPACES: single,
            DEFAULT_MODULE_ID: single,
        }

    def sample(
        self, *, starts: Array | None = None, group_size: int = 0, **kwargs: object
    ) -> tuple[Columns, dict[str, Any]]:
        """Collect a rollout as rows with advantages, and its statistics (``rungwise/metrics.py``).

        Args:
            starts: seeds ``[S]`` of episodes to collect, each ``group_size`` times; each runner
                takes as many as it has copies for. None draws new ones.
            group_size: episodes from each start; 0: that of the settings.
            kwargs: RLlib's own arguments, with the values of ``SAMPLE_ARGUMENTS``.

        Raises:
            InputError: an argument that asks for something else.
        """
        refuse_sample_arguments(kwargs, self.settings)
        started = time.perf_counter()
        with self.watchdog.watch() if self.watchdog else nullcontext():
            rollout, statistics = self.collect(
                self.settings.rollout_length, starts=starts, group_size=group_size
            )
        rows = self.objective.compute_advantages(rollout)
        self.num_env_steps_sampled_lifetime += statistics["steps"]
        if self.settings.record:
            statistics["recorded"] = self._record_steps(rollout)
        return rows, statistics | {"sample_s": time.perf_counter() - started}

    def collect(
        self, length: int, *, starts: Array | None = None, group_size: int = 0
    ) -> tuple[Rollout, dict[str, Any]]:
        """Collect a rollout and its statistics, without advantages.

        Args:
            length: steps of each copy; where episodes are collected in groups, the longest one.
            starts: see :meth:`sample`.
            group_size: see :meth:`sample`.
        """
        if "starts" not in self.needs:
            return self._collect_steps(length, first_episodes_only=False)
        seeds = GroupSampler(self.settings.starts).choose_seeds(
            self.env.num_envs,
            group_size or self.settings.group_size,
            self.generator,
            self.worker_index or 0,
            starts,
        )
        self._reset(seeds.tolist())
        # The episodes under way end here: nothing of them may count for those that begin.
        self.statistics = dataclasses.replace(self.statistics, copies=len(seeds))
        rollout, statistics = self._collect_steps(length, first_episodes_only=True)
        shape = rollout.rewards.shape
        rollout.columns["start"] = np.broadcast_to(seeds.astype(np.int64), shape)
        return rollout, statistics

    def _collect_steps(
        self, length: int, *, first_episodes_only: bool
    ) -> tuple[Rollout, dict[str, Any]]:
        """Step all copies ``length`` times, or until the first episode of each has ended."""
        policy, same_step = self.module, self.autoreset == AutoresetMode.SAME_STEP
        assert policy is not None  # noqa: S101
        buffer = RolloutBuffer(length, self.env.num_envs, self.statistics.lengths > 0)
        statistics = RolloutStatistics(self.statistics, policy.head.choices)
        over = np.zeros(self.env.num_envs, bool)  # copies whose first episode has ended
        self.state = self.state or policy.initial_state(self.env.num_envs)
        self.quick = None
        if isinstance(policy, MLPPolicy) and policy.on_numpy:
            self.quick = QuickActor(policy, self.env.num_envs, self.generator)
        resetting = None if same_step else self.reset_next
        for t in range(length):
            remembered, acted = self.state, self.present
            infos = self._store_step(buffer, policy)
            ended = buffer.terminated[t] | buffer.truncated[t]
            # Steps of a copy after its first episode are no experience: do not count them.
            statistics.record_step(infos, ended & ~over)
            if same_step and buffer.truncated[t].any():
                buffer.final_values[t] = self._compute_final_values(infos, buffer.truncated[t])
            # A next-step copy is reset by the step after its end, which first shows the final
            # observation: what came before is remembered for the value of that.
            forget = ~buffer.under_way if same_step else self.reset_next
            self.state = carry_state(self.state, remembered, acted, forget)
            self.reset_next = ended
            buffer.steps += 1
            self.steps += 1
            if first_episodes_only:
                over |= ended
                if over.all():
                    break
                if t + 1 == length:
                    statistics.record_cut_off(infos, ~over)
        buffer.trim()
        self.statistics.returns += buffer.late_rewards
        if self.quick and "logp" not in buffer.columns:
            buffer.columns["logp"], buffer.values = self.quick.score(buffer.columns)
        rollout = buffer.finish(
            self.objective.bootstrap,
            self._compute_values(self.observation, self.state),
            self.reward_unit,
            resetting=resetting,
            first_episodes_only=first_episodes_only,
            present=self.present,
        )
        rollout.success = statistics.finished.last_success
        return rollout, self._summarise(rollout, buffer.truncated, statistics)

    def _store_step(self, buffer: RolloutBuffer, policy: PolicyModule) -> dict[str, Any]:
        """Act and step all copies once, write the step, and return the environment's infos."""
        t = buffer.steps
        columns, self.state = policy.recall(self.observation, self.state)
        action, logps, buffer.values[t], recurrent = self._act(columns)
        self.state |= recurrent
        # Stored before the step: an environment may reuse the arrays of its observations.
        buffer.store({**columns, **action, **logps})
        observation, buffer.rewards[t], buffer.terminated[t], buffer.truncated[t], infos = (
            self._call_env(self.env.step, policy.head.to_env_action(action))
        )
        self.observation = to_observation_columns(observation)
        buffer.settle_absent(self.present)
        self.present = infos.get(PRESENT)
        if policy.hindsight_columns:
            buffer.store({name: of_step(infos, name) for name in policy.hindsight_columns})
        # Rewards of rows are of use only where the rows' choices have probabilities of their own.
        if "row_logp" in logps and (row_rewards := of_step(infos, "row_reward")) is not None:
            buffer.store({"row_reward": row_rewards})
        return infos

    def _summarise(
        self, rollout: Rollout, truncated: Array, statistics: RolloutStatistics
    ) -> dict[str, Any]:
        """Return the statistics of a rollout; truncated [T, B]."""
        summary = statistics.summarise(rollout, truncated)
        policy: Any = self.module
        obs = {n: c for n, c in rollout.columns.items() if n.split(".")[0] == "obs"}
        obs, spaces = policy.normalise_observations(obs), policy.observation_spaces
        lengths = self.statistics.lengths
        summary["condition"] = compute_environment_metrics(obs, rollout.rewards, lengths, spaces)
        for name, mean in policy.head.compute_action_metrics(rollout.columns).items():
            summary["step_sums"][name] = mean * summary["steps"]
        if self.time_limit:
            summary["condition"]["time_limit"] = self.time_limit
        # Statistics of the policy that acted: the learner's may not have arrived here.
        summary["condition"] |= policy.compute_normaliser_metrics()
        return summary

    def _act(
        self, columns: dict[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array], Array, dict[str, Array]]:
        """Return action columns [B, ...], other columns of the step, values [B] and state [B, ...].

        Args:
            columns: those that the policy reads.
        """
        if self.quick:  # log-probabilities and values come after the rollout
            return self.quick.act(columns), {}, np.zeros(len(self.reset_next), np.float32), {}
        policy: Any = self.module
        return policy.act_on_arrays(columns, self.generator)

    def _record_steps(self, rollout: Rollout) -> Columns:
        """Return the steps as they happened, for a recording."""
        first = self.steps - len(rollout.done)
        episode, self.episode_starts = number_episodes(rollout.done, self.episode_starts, first)
        # 10 bits of runner, 17 bits of iteration, 36 bits of episode: unique among all runners,
        # restarted ones too, for 6e10 steps of each.
        episode += ((self.worker_index or 0) << 53) + (self.restored_at << 36)
        return rollout.to_rows(reward=rollout.rewards, done=rollout.done, episode=episode)

    def _compute_final_values(self, infos: dict[str, Any], truncated: Array) -> Any:
        """Return the values [B] of the final observations of truncated copies, 0 elsewhere."""
        copies = np.flatnonzero(truncated)
        state = {name: column[copies] for name, column in self.state.items()}
        values = np.zeros(len(truncated), np.float32)
        final = gather_final_observations(infos, copies, self.env.single_observation_space)
        values[copies] = self._compute_values(final, state)
        return values

    def _compute_values(self, observation: dict[str, Array], state: dict[str, Array]) -> Array:
        """Return the values [B] of observations that are not acted on."""
        policy: Any = self.module
        columns, _ = policy.recall(observation, state)
        # Greedy, as a draw would advance the runner's generator for a value alone.
        return policy.act(columns, None, greedy=True)[2].numpy()

    def _call_env(self, call: Callable[..., Any], *args: object, **kwargs: object) -> Any:
        """Call the environment; turn its exception into a message with the user's own frame."""
        origin = (self.env_id, self.steps, self.worker_index or 0)
        return call_environment(origin, call, *args, **kwargs)

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
        **kwargs: object,
    ) -> dict[str, Any]:
        """Return weights, random state and, for our own worlds, the environment's exact state."""
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
                "policy_state": self.state,
                "episode_starts": self.episode_starts,
                "statistics": copy.deepcopy(self.statistics),
            }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Load the parts that ``state`` has; weights always, even older ones."""
        weights = None
        if COMPONENT_RL_MODULE in state and self.module is not None:
            weights = state[COMPONENT_RL_MODULE]
            if isinstance(weights, ray.ObjectRef):  # shared by all runners through the object store
                weights = ray.get(weights)
            weights = weights.get(DEFAULT_MODULE_ID, weights)
            self.module.set_state(weights)
            self.weights_seq_no = state.get("weights_seq_no", 0)
        self.reward_unit = state.get("reward_unit", self.reward_unit)
        self.stage = state.get("stage", self.stage)
        update_world(self.env, self.stage, weights)
        if "generator" in state:
            self.generator.set_state(torch.from_numpy(state["generator"].copy()))
        lifetime = self.num_env_steps_sampled_lifetime
        self.num_env_steps_sampled_lifetime = state.get("steps_lifetime", lifetime)
        if "steps" in state and self.env is not None:  # no number of an episode is used twice
            self.steps = state["steps"]
            self.episode_starts = np.full_like(self.episode_starts, self.steps)
        if "env" in state and isinstance(self.env, BatchedVectorEnv):
            self.episode_starts = np.array(state["env"].get("episode_starts", self.episode_starts))
            self.env.state = state["env"]["state"]
            self.observation = state["env"]["observation"]
            self.state = state["env"].get("policy_state", {})
            self.statistics = copy.deepcopy(state["env"]["statistics"])

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return how to build this runner again (Checkpointable)."""
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Checkpointable]]:
        """Return no components: the weights are saved with the learner."""
        return []

    def stop(self) -> None:
        """Close the environment."""
        if self.env is not None:
            self.env.close()
