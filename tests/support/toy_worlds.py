# pyright: basic
"""Tiny environments whose every number is known beforehand."""

from __future__ import annotations

import os
import time

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv


class Steps(gymnasium.Env):
    """Counts its steps from a reset on."""

    steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._observed(), {}

    def _observed(self):
        raise NotImplementedError


class Counting(Steps):
    """Observes the number of steps taken, is paid that number, and ends after ``length`` steps."""

    observation_space = spaces.Box(0, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length=3, terminates=True, truncates=False):
        self.length, self.terminates, self.truncates = length, terminates, truncates

    def step(self, action):
        self.steps += 1
        over = self.steps == self.length
        ends = over and self.terminates, over and self.truncates
        return self._observed(), float(self.steps), *ends, {}

    def _observed(self):
        return np.array([self.steps], np.float32)


class Sick(Counting):
    """Counting, until step ``at``: then a NaN is observed or paid, or an exception is raised."""

    def __init__(self, sickness="raises", at=3):
        super().__init__(length=100)
        self.sickness, self.at = sickness, at

    def step(self, action):
        observation, reward, *rest = super().step(action)
        if self.steps == self.at:
            if self.sickness == "raises":
                raise ZeroDivisionError("the pole fell off")  # the line the user must be shown
            if self.sickness == "raises deep down":
                np.linalg.cholesky(-np.eye(2))  # the exception comes from a frame within NumPy
            if self.sickness == "observation":
                observation[0] = np.nan
            if self.sickness == "reward":
                reward = np.inf
        return observation, reward, *rest


class Drawing(Counting):
    """Counting, but what is observed and paid is drawn at random from the environment's seed."""

    def __init__(self):
        super().__init__(length=5)

    def step(self, action):
        _, _, *rest = super().step(action)
        return self._observed(), float(self.np_random.normal()), *rest

    def _observed(self):
        return self.np_random.random(1).astype(np.float32)


class Bandit(Steps):
    """Two arms, two contexts: the arm of the context's number pays 1, the other one nothing.

    With ``shuffled`` a coin decides the pay, and there is nothing to be learnt.
    """

    observation_space = spaces.Box(0, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, shuffled=False):
        self.shuffled = shuffled

    def step(self, action):
        self.steps += 1
        best = self.np_random.integers(2) if self.shuffled else self.context
        return self._observed(), float(action == best), self.steps == 4, False, {}

    def _observed(self):
        self.context = int(self.np_random.integers(2))
        return np.eye(2, dtype=np.float32)[self.context]


class Masked(Steps):
    """Nodes with a mask that moves on with every step; an illegal choice is an exception."""

    n = 4
    observation_space = spaces.Dict(
        nodes=spaces.Box(-20, 20, (n, 2), np.float32),
        context=spaces.Box(0, 10, (1,), np.float32),
        mask=spaces.MultiBinary(n),
    )
    action_space = spaces.Dict(choice=spaces.Discrete(n), value=spaces.Box(-1, 1, (), np.float32))

    def step(self, action):
        if not self._mask()[action["choice"]]:
            raise ValueError(f"choice {action['choice']} is illegal at step {self.steps}")
        self.steps += 1
        return self._observed(), float(action["value"]), False, self.steps == 6, {}

    def _mask(self):
        mask = np.zeros(self.n, np.int8)
        mask[[self.steps % self.n, (self.steps + 1) % self.n]] = 1
        return mask

    def _observed(self):
        nodes = np.arange(2 * self.n, dtype=np.float32).reshape(self.n, 2) + self.steps
        return {"nodes": nodes, "context": np.array([self.steps], np.float32), "mask": self._mask()}


class Forced(Steps):
    """Four choices, of which choice 0 alone is legal but for one step in ``every`` (0: in all)."""

    observation_space = spaces.Dict(
        seen=spaces.Box(-1, 1, (2,), np.float32), mask=spaces.MultiBinary(4)
    )
    action_space = spaces.Discrete(4)

    def __init__(self, every=8):
        self.every = every

    def step(self, action):
        self.steps += 1
        return self._observed(), float(self.np_random.normal()), False, self.steps == 40, {}

    def _observed(self):
        free = self.every and self.steps % self.every == 0
        mask = np.ones(4, np.int8) if free else np.eye(4, dtype=np.int8)[0]
        return {"seen": self.np_random.uniform(-1, 1, 2).astype(np.float32), "mask": mask}


class Leaving(Counting):
    """What is seen and paid is drawn from the seed; whoever chooses 1 leaves at once."""

    def __init__(self, length=6, terminates=True, truncates=False):
        super().__init__(length, terminates, truncates)

    def step(self, action):
        observation, _, over, cut, info = super().step(action)
        reward = float(self.np_random.normal()) + action
        left = bool(action) and self.terminates
        return observation, reward, over or left, cut or (bool(action) and self.truncates), info

    def _observed(self):
        return self.np_random.random(1).astype(np.float32)


class Slow(Drawing):
    """Drawing, but a step takes ``seconds``."""

    def __init__(self, seconds=0.01):
        super().__init__()
        self.seconds = seconds

    def step(self, action):
        time.sleep(self.seconds)
        return super().step(action)


class Exiting(Drawing):
    """Drawing, but its first step ends the process it lives in."""

    def step(self, action):
        os._exit(3)


class Reaching(Counting):
    """Counting with a value as the action; every episode reaches its goal and says so."""

    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def step(self, action):
        observation, reward, over, *rest, _ = super().step(action)
        info = {"is_success": over, "range_utilisation": 0.5, "episode_improvement": 1.0}
        info |= dict.fromkeys(
            ("log_p_with", "log_p_without", "log_p_shuffled", "log_p_random"), 0.0
        )
        return observation, reward, over, *rest, info


class Alike(Counting):
    """Every step costs 1, and no action changes when an episode ends."""

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, -1.0, *rest


class Fragile(Counting):
    """Counting, but these steps, counted over all copies in this process, raise an exception."""

    taken = 0

    def __init__(self, failing=()):
        super().__init__()
        self.failing = failing

    def step(self, action):
        Fragile.taken += 1
        if Fragile.taken in self.failing:
            raise ConnectionError("the simulator is gone")
        return super().step(action)


class Unseeded(Counting):
    """Counting, but it begins somewhere else each time, whatever its seed."""

    def reset(self, *, seed=None, options=None):
        super().reset()
        self.steps = int(np.random.default_rng().integers(2**31))
        return self._observed(), {}


class Texts(Steps):
    """Candidates behind a prompt, in tokens up to 30; the first candidate pays 1."""

    observation_space = spaces.Dict(
        prompt=spaces.Box(0, 30, (5,), np.int32), candidates=spaces.Box(0, 30, (3, 2), np.int32)
    )
    action_space = spaces.Discrete(3)

    def step(self, action):
        self.steps += 1
        return self._observed(), float(action == 0), self.steps == 4, False, {}

    def _observed(self):
        drawn = self.np_random.integers
        return {
            "prompt": drawn(1, 31, 5, np.int32),
            "candidates": drawn(1, 31, (3, 2), np.int32),
        }


for _world in [world for world in vars().values() if isinstance(world, type)]:
    if issubclass(_world, Steps) and _world is not Steps:
        gymnasium.register(f"{_world.__name__}-v0", f"toy_worlds:{_world.__name__}")


def leaving_next_step(num_envs, **kwargs):
    """Leaving as a vector environment that resets in the step after the end."""
    makers = [lambda: Leaving(**kwargs)] * num_envs
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.NEXT_STEP)


gymnasium.register("LeavingNextStep-v0", vector_entry_point="toy_worlds:leaving_next_step")
