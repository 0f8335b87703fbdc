# pyright: basic
"""Tiny environments whose every number is known beforehand."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces


class Counting(gymnasium.Env):
    """Observes the number of steps taken, is paid that number, and ends after ``length`` steps."""

    observation_space = spaces.Box(0, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length=3, terminates=True, truncates=False):
        self.length, self.terminates, self.truncates = length, terminates, truncates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._observed(), {}

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


class Bandit(gymnasium.Env):
    """Two arms, two contexts: the arm of the context's number pays 1, the other one nothing.

    With ``shuffled`` a coin decides the pay, and there is nothing to be learnt.
    """

    observation_space = spaces.Box(0, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, shuffled=False):
        self.shuffled = shuffled

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._drawn(), {}

    def step(self, action):
        self.steps += 1
        best = self.np_random.integers(2) if self.shuffled else self.context
        return self._drawn(), float(action == best), self.steps == 4, False, {}

    def _drawn(self):
        self.context = int(self.np_random.integers(2))
        return np.eye(2, dtype=np.float32)[self.context]


class Masked(gymnasium.Env):
    """Nodes with a mask that moves on with every step; an illegal choice is an exception."""

    n = 4
    observation_space = spaces.Dict(
        nodes=spaces.Box(-20, 20, (n, 2), np.float32),
        context=spaces.Box(0, 10, (1,), np.float32),
        mask=spaces.MultiBinary(n),
    )
    action_space = spaces.Dict(choice=spaces.Discrete(n), value=spaces.Box(-1, 1, (), np.float32))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._observed(), {}

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


for _world in (Counting, Sick, Drawing, Bandit, Masked):
    gymnasium.register(f"{_world.__name__}-v0", f"toy_worlds:{_world.__name__}")
