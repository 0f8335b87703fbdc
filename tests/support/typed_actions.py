# pyright: basic, reportArgumentType=false, reportCallIssue=false
"""Environments that take no action but those of their space, in its type."""

import warnings

import gymnasium
import numpy as np
from gymnasium import spaces
from toy_worlds import Counting

HIGH = np.array([100, 90, 80], np.int16)
SPACES = {
    "whole": spaces.Box(np.zeros(3, np.int16), HIGH, dtype=np.int16),
    "one whole": spaces.Box(-5, 5, (), np.int32),
    "one": spaces.Box(0, 2000, (), np.float32),
    "parts": spaces.Dict(
        dose=spaces.Box(0, 2000, (), np.float32), where=spaces.Box(0, HIGH, (3,), np.int16)
    ),
}


class Typed(Counting):
    """Is paid for large actions."""

    def __init__(self, kind="whole"):
        super().__init__()
        self.action_space = SPACES[kind]

    def step(self, action):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Gymnasium's own check casts, and warns
            assert self.action_space.contains(action), repr(action)
        parts = zip(leaves(action), leaves(self.action_space), strict=True)
        assert all(part.dtype == space.dtype for part, space in parts)
        observation, _, *ends = super().step(0)
        return observation, float(sum(np.sum(part) for part in leaves(action))), *ends


def leaves(tree):
    return list(tree.values()) if isinstance(tree, dict | spaces.Dict) else [tree]


gymnasium.register("Typed-v0", Typed, disable_env_checker=True)
