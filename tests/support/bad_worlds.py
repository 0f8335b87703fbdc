# pyright: basic
"""Environments whose observations no policy can be built for, each for one reason."""

import copy
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

NUMBERS = spaces.Box(-1, 1, (2,), np.float32)
OBSERVATIONS = {
    "numbers": spaces.Dict(dict[Any, Any](enumerate((NUMBERS, NUMBERS)))),
    "text": spaces.Dict(numbers=NUMBERS, note=spaces.Text(5)),
    "axes": spaces.Dict(numbers=NUMBERS, cube=spaces.Box(0, 1, (2, 2, 2, 2, 2), np.float32)),
    "twice": spaces.Dict({"a": spaces.Dict(b=NUMBERS), "a.b": NUMBERS}),
    "pixel": spaces.Dict(numbers=NUMBERS, view=spaces.Box(0, 255, (1, 1, 3), np.uint8)),
}


class Odd(gymnasium.Env):
    """Healthy but for its observation space; ten steps, of which each pays its action."""

    action_space = spaces.Discrete(2)

    def __init__(self, shows):
        self.observation_space = copy.deepcopy(OBSERVATIONS[shows])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.time += 1
        return self.observation_space.sample(), float(action), self.time >= 10, False, {}


for _name in OBSERVATIONS:
    gymnasium.register(f"Odd-{_name}-v0", "bad_worlds:Odd", kwargs={"shows": _name})
