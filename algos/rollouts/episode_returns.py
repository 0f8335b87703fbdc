"""Whole episodes of a vector environment, one in each copy: their returns and lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

Array = np.ndarray[Any, Any]

REPORT_INTERVAL = 100
"""Steps between two reports of progress while no episode finishes."""


def play_episodes(
    env: VectorEnv[Any, Any, Any],
    act: Callable[[Any], Any],
    seed: int,
    report_progress: Callable[[int, int], None] | None = None,
    most_steps: int | None = None,
) -> tuple[Array, Array]:
    """Return the undiscounted returns [B] and lengths [B] of the first episode of each copy.

    Args:
        env: B copies in any autoreset mode; what a copy does after its end does not count.
        act: observations [B, ...] -> actions [B, ...].
        seed: of the reset; Gymnasium seeds the copies with it and the numbers that follow.
        report_progress: called with the number of finished episodes and of steps so far, whenever
            an episode finishes and every 100 steps.
        most_steps: steps after which an episode is cut off, with its return until then.
    """
    observation, _ = env.reset(seed=seed)
    returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
    ended, steps = np.zeros(env.num_envs, bool), 0
    while not ended.all() and (most_steps is None or steps < most_steps):
        observation, reward, terminated, truncated, _ = env.step(act(observation))
        returns += np.where(ended, 0, reward)
        lengths += ~ended
        over, steps = ended | terminated | truncated, steps + 1
        if report_progress and ((over != ended).any() or steps % REPORT_INTERVAL == 0):
            report_progress(int(over.sum()), steps)
        ended = over
    return returns, lengths
