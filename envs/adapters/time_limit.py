"""The time limit of an environment's episodes, where it can be known before one has ended."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from envs.contract.batched import get_world

NAMES = ("_max_episode_steps", "max_episode_steps", "max_steps")
"""Attributes that hold a limit: of Gymnasium's TimeLimit, of ours, and of MiniGrid and others."""


def find_time_limit(env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> int | None:
    """Return the most steps that an episode lasts; None where nothing says so.

    An environment that cuts its episodes off without saying after how many steps has a limit all
    the same: None is no evidence that there is none.
    """
    if isinstance(env, VectorEnv):
        # A batch of single copies has their limits, which its own spec may not repeat.
        copies: list[Any] = getattr(env.unwrapped, "envs", [])
        if copies and isinstance(copies[0], gymnasium.Env):
            return find_time_limit(copies[0])
    world = get_world(env)
    candidates: list[Any] = [
        *(getattr(layer, name, None) for layer in list_layers(env) for name in NAMES),
        world.episode_limit if world else None,
    ]
    limits = [limit for limit in map(_read_limit, candidates) if limit]
    # The entry of a batch repeats what is registered, which an argument may have replaced.
    return min(limits, default=_read_limit(env.spec and env.spec.max_episode_steps))


def list_layers(env: object) -> list[Any]:
    """Return the environment, what it wraps, and so on."""
    layers = [env]
    while isinstance(env, gymnasium.Wrapper | VectorWrapper):
        env = cast("Any", env).env
        layers.append(env)
    return layers


def _read_limit(value: Any) -> int | None:
    """Return a positive number of steps, None for anything else, such as Gymnasium's -1."""
    is_number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return int(value) if is_number and value > 0 else None
