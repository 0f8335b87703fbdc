# pyright: basic
"""Environments of the benchmark: a dear one, and forms of CausalLearning that stock RLlib takes.

RLlib's own catalogue has no distribution for a choice with a scalar value, so it sees flat
observations and a MultiDiscrete action: the node, and one of the 21 grid points that our own policy
chooses from as well. Its network then has 5 + 21 outputs where ours has 5 * (1 + 21), which is in
its favour.
"""

import dataclasses
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

import envs
from envs.causal.learning.world import CausalLearning
from envs.contract import counter_rng
from envs.contract.pytree import put

STEP_S = 0.001
GRID = np.linspace(-1, 1, 21)


class DearCartPole(CartPoleEnv):
    """CartPole whose step costs a millisecond of computing.

    It burns CPU time of its own thread. Sleeping would cost nothing, so that any number of runners
    would share a core for free; waiting for the wall clock would let two runners on one core count
    the same millisecond.
    """

    def step(self, action):
        end = time.thread_time() + STEP_S
        while time.thread_time() < end:
            pass
        return super().step(action)


gymnasium.register("DearCartPole-v0", "benchmarks.worlds:DearCartPole", max_episode_steps=500)


class FlatCausal(gymnasium.Wrapper):
    """The single environment with flat observations and actions, for RLlib."""

    def __init__(self) -> None:
        super().__init__(gymnasium.make("envs:CausalLearning-v0"))
        self.nested: Any = self.env.observation_space
        self.observation_space = spaces.flatten_space(self.nested)
        self.action_space = _flat_actions(self.env.action_space)

    def reset(self, *, seed=None, options=None):
        observation, _ = self.env.reset(seed=seed, options=options)
        return spaces.flatten(self.nested, observation), {}

    def step(self, action):
        choice = {"choice": action[0], "value": GRID[action[1]].astype(np.float32)}
        observation, reward, terminated, truncated, _ = self.env.step(choice)
        # Infos are dropped: RLlib would only carry them along.
        flat: Any = spaces.flatten(self.nested, observation)
        return flat, float(reward), terminated, truncated, {}


class FlatBatchedCausal(VectorEnv):
    """Our world in the only form that RLlib's runner accepts: next-step autoreset.

    RLlib takes the observation that comes with an episode's end for its last one and the next for
    the first of a new episode, so our same-step environment cannot be handed to it as it is. Worlds
    are pure functions: nothing is lost by building this shell directly around one.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int) -> None:
        family = envs.FAMILIES["CausalLearning-v0"]
        self.world: Any = family.world(family.params())
        self.num_envs = num_envs
        self.nested: Any = self.world.observation_space
        self.single_observation_space = spaces.flatten_space(self.nested)
        self.single_action_space = _flat_actions(self.world.action_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        start = int(self.np_random.integers(2**63)) if seed is None else seed
        self.state, observation = self.world.reset(counter_rng.make_keys(start, self.num_envs))
        self.ended = np.zeros(self.num_envs, np.bool_)
        return self._flat(observation), {}

    def step(self, actions):
        ended, zero = self.ended, np.zeros(self.num_envs, np.float32)
        if ended.all():  # always so here: all episodes have the same length
            self.state, observation = self.world.reset(counter_rng.next_episode(self.state.keys))
            self.ended = np.zeros_like(ended)
            return self._flat(observation), zero, self.ended, self.ended, {}
        action = {"choice": actions[:, 0], "value": GRID[actions[:, 1]]}
        step = self.world.step(self.state, action)
        state, observation = step.state, step.observation
        if ended.any():
            keys = counter_rng.next_episode(self.state.keys[ended])
            first_state, first_observation = self.world.reset(keys)
            state = put(state, ended, first_state)
            observation = put(observation, ended, first_observation)
        self.state = state
        terminated, truncated = step.terminated & ~ended, step.truncated & ~ended
        self.ended = terminated | truncated
        reward = np.where(ended, zero, step.reward)
        return self._flat(observation), reward, terminated, truncated, {}

    def _flat(self, observation):
        return flat(self.nested, observation)


class FlatWorld(CausalLearning):
    """What stock RLlib sees, for our own training: the same network then, output for output."""

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self.nested: Any = self.observation_space
        self.observation_space = spaces.flatten_space(self.nested)
        self.action_space = _flat_actions(self.action_space)

    def reset(self, keys):
        state, observation = super().reset(keys)
        return state, self._flat(observation)

    def step(self, state, action: Any):
        step = super().step(state, {"choice": action[:, 0], "value": GRID[action[:, 1]]})
        return dataclasses.replace(step, observation=self._flat(step.observation))

    def _flat(self, observation):
        return flat(self.nested, observation)


gymnasium.register(
    "FlatCausal-v0",
    "envs.factory:make_single",
    vector_entry_point="envs.factory:make_vector",
    kwargs={"world": "benchmarks.worlds:FlatWorld"},
)


def flat(nested, observation):
    """[B, ...] by name -> [B, columns], in the order of spaces.flatten."""
    B = len(observation["mask"])
    return np.concatenate([observation[name].reshape(B, -1) for name in nested], axis=1)


def _flat_actions(space: Any) -> spaces.MultiDiscrete:
    return spaces.MultiDiscrete([int(space["choice"].n), len(GRID)])
