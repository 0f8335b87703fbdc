# pyright: basic
"""Environments without a fault, from which those with one are made (``sick_worlds``)."""

import gymnasium
import numpy as np
from gymnasium import spaces


class FixedLength(gymnasium.Env):
    """Episodes of one length, of which ``_seen`` and ``paid`` say what a step shows and pays."""

    length = 10

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._seen(), {}

    def step(self, action):
        self.steps += 1
        reward = self.paid(action)
        return self._seen(), reward, self.steps >= self.length, False, {}

    def paid(self, action) -> float:
        raise NotImplementedError

    def _seen(self) -> np.ndarray:
        raise NotImplementedError


class Targets(FixedLength):
    """Healthy: ten steps, each shows a bit; naming it pays 1."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def paid(self, action):
        return float(action == self.bit)

    def _seen(self):
        self.bit = int(self.np_random.integers(2))
        return np.array([2 * self.bit - 1, self.np_random.random()], np.float32)


class Cue(gymnasium.Env):
    """Shows a card at the start and asks for it three steps later: a task for memory."""

    observation_space = spaces.Discrete(4)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.card = 0, int(self.np_random.integers(2))
        return self.card, {}

    def step(self, action):
        self.steps += 1
        over = self.steps == 3
        return 1 + self.steps, float(over and action == self.card), over, False, {}


class Shown(Cue):
    """Healthy: the card stays on the table, so that no memory is needed."""

    observation_space = spaces.MultiDiscrete([4, 2])

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        return np.array([0, observation]), info

    def step(self, action):
        _, *rest = super().step(action)
        return np.array([self.steps, self.card]), *rest
