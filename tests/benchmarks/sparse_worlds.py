# pyright: basic
"""A task whose reward is rare: a healthy run of it looks dead for half of its budget."""

from typing import Any

import gymnasium
import numpy as np

SYMBOLS, STEPS, NOISE = 6, 10, 0.55


class LastGuess(gymnasium.Env):
    """Name a noisy symbol in the last of ten steps: 1 if it is right, 0 for all else.

    One guess in six is right by chance (0.17 of the episodes are rewarded, 1.7 % of the steps), and
    nine of ten actions do nothing, so that the credit for the tenth is learnt late.
    """

    observation_space = gymnasium.spaces.Box(-5, 5, (SYMBOLS + 1,), np.float32)
    action_space = gymnasium.spaces.Discrete(SYMBOLS)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.steps, self.symbol = 0, int(self.np_random.integers(SYMBOLS))
        return self._seen(), {}

    def step(self, action):
        self.steps += 1
        last = self.steps == STEPS
        reward = float(last and int(action) == self.symbol)
        return self._seen(), reward, last, False, {}

    def _seen(self):
        seen = self.np_random.normal(0, NOISE, SYMBOLS + 1)
        seen[self.symbol] += 1
        seen[-1] = self.steps / STEPS
        return np.clip(seen, -5, 5).astype(np.float32)


gymnasium.register("LastGuess-v0", "benchmarks.sparse_worlds:LastGuess")
