"""Environments of MiniGrid and Atari as a policy reads them: ``envs.zoo:DoorKey-5x5-v0``.

Presets train on them. They are also the example of how an environment is wrapped: a module that
registers it, with a function that makes one copy.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.wrappers import AtariPreprocessing, TransformObservation

from rungwise.optional_imports import import_extra


def make_grid(grid: str, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """Make a grid of MiniGrid as its image alone, each cell one-hot [7, 7, 20].

    A cell's kind, colour and state are names, not brightness: as numbers a key and a ball differ by
    1 of 255. The mission is left out: a text, and the same in every episode.
    """
    wrappers = import_extra("minigrid.wrappers", "zoo")
    constants = import_extra("minigrid.core.constants", "zoo")
    sizes = [len(getattr(constants, f"{code}_TO_IDX")) for code in ("OBJECT", "COLOR", "STATE")]
    first = np.cumsum([0, *sizes[:-1]])

    def mark(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        marked = np.zeros((*image.shape[:2], sum(sizes)), bool)
        np.put_along_axis(marked, image + first, True, axis=-1)
        return marked

    env = wrappers.ImgObsWrapper(gymnasium.make(grid, **kwargs).unwrapped)
    shape = (*env.observation_space.shape[:2], sum(sizes))
    space = Box(0, 1, shape, np.bool_)  # pyright: ignore[reportArgumentType]  # as MinAtar's is
    return TransformObservation(env, mark, space)


def make_atari(game: str, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """Make a game of Atari as its grey image [84, 84, 1] of every fourth frame.

    As in Mnih et al. 2015 (Methods, "Preprocessing"), but for episodes that last for all lives.
    """
    gymnasium.register_envs(import_extra("ale_py", "zoo"))
    env = gymnasium.make(game, frameskip=1, repeat_action_probability=0.0, **kwargs)
    return AtariPreprocessing(env, grayscale_newaxis=True)


gymnasium.register("Pong-v5", make_atari, kwargs={"game": "ALE/Pong-v5"})
for _name in ("DoorKey-5x5", "Empty-8x8", "MemoryS7"):
    gymnasium.register(f"{_name}-v0", make_grid, kwargs={"grid": f"MiniGrid-{_name}-v0"})
