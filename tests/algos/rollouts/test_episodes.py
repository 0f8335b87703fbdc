# pyright: basic
"""Whole episodes, one in each copy: nothing after its end counts."""

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from algos.rollouts.episodes import measure_returns


class Countdown(gymnasium.Env):
    """Pays 1 a step and ends after as many steps as its seed says."""

    observation_space, action_space = spaces.Box(0, 9, (1,)), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.left = seed or 5
        return np.array([self.left], np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.array([self.left], np.float32), 1.0, self.left <= 0, False, {}


class Counts(list):
    """The reports of progress: (finished episodes, steps)."""

    def add(self, finished, steps):
        self.append((finished, steps))


def test_only_the_first_episode_of_each_copy_counts():
    for mode in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        counts = Counts()
        env = SyncVectorEnv([Countdown] * 3, autoreset_mode=mode)
        found = measure_returns(env, lambda present, seen: np.zeros(3, np.int64), 2, counts.add)
        assert found[0].tolist() == found[1].tolist() == [2, 3, 4]
        assert counts == [(1, 2), (2, 3), (3, 4)]


def test_progress_is_reported_while_no_episode_finishes():
    counts = Counts()
    env = SyncVectorEnv([Countdown] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    measure_returns(env, lambda present, seen: np.zeros(2, np.int64), 249, counts.add)
    assert counts == [(0, 100), (0, 200), (1, 249), (2, 250)]
