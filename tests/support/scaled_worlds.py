# pyright: basic, reportArgumentType=false, reportOperatorIssue=false
"""Gymnasium's own environments with rewards and observations in other units."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


def scaled(env, rewards=1.0, first_column=1.0):
    """An environment with its rewards, or its first observed number, multiplied by a factor."""
    made: Any = gymnasium.make(env)
    factors = np.ones(made.observation_space.shape, np.float32)
    factors[0] = first_column
    space = spaces.Box(
        *(made.observation_space.low * factors, made.observation_space.high * factors),
        dtype=np.float32,
    )
    made = gymnasium.wrappers.TransformObservation(made, lambda seen: seen * factors, space)
    return gymnasium.wrappers.TransformReward(made, lambda reward: reward * rewards)


gymnasium.register("Scaled-v0", scaled)
