# pyright: basic
"""A sound environment, from which those with planted faults derive."""

import gymnasium
import numpy as np


class Sound(gymnasium.Env):
    """Guess the sign of a number."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    length = 5

    def look(self):
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.look(), {}

    def step(self, action):
        self.time += 1
        return self.look(), float(action), self.time >= self.length, False, {}
