# pyright: basic
"""A CartPole whose rewards break in the middle of a training."""

import gymnasium as gym
import numpy as np


class NaNRewards(gym.Wrapper):
    """CartPole whose rewards are NaN from some step of the training on, counted from 1."""

    def __init__(self, first=200):
        super().__init__(gym.make("CartPole-v1"))
        self.first, self.steps = first, 0

    def step(self, action):
        observation, reward, *rest = super().step(action)
        self.steps += 1
        return (observation, np.nan if self.steps >= self.first else reward, *rest)
