"""Environments of MiniGrid as a policy reads them: ``envs.zoo:DoorKey-5x5-v0``.

Presets train on them. They are also the example of how an environment is wrapped: a module that
registers it, with a function that makes one copy.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.wrappers import TransformObservation

from envs.optional_imports import import_extra


def make_grid(grid: str, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """Make a grid of MiniGrid as its image alone, each cell one-hot [7, 7, 20].

    A cell's kind, colour and state are names, not brightness: as numbers a key and a ball differ by
    1 of 255. The mission is left out: a text, and the same in every episode.
    """
    wrappers = import_extra("minigrid.wrappers", "zoo")
    constants = import_extra("minigrid.core.constants", "zoo")
    sizes = [len(getattr(constants, f"{code}_TO_IDX")) for code in ("OBJECT", "COLOR", "STATE")]
    first = np.cumsum([0, *sizes[:-1]])

    def mark(image: Any) -> Any:
        marked = np.zeros((*image.shape[:2], sum(sizes)), bool)
        np.put_along_axis(marked, image + first, True, axis=-1)
        return marked

    env = wrappers.ImgObsWrapper(gymnasium.make(grid, **kwargs).unwrapped)
    shape = (*env.observation_space.shape[:2], sum(sizes))
    space = Box(0, 1, shape, np.bool_)  # pyright: ignore[reportArgumentType]  # as MinAtar's is
    return TransformObservation(env, mark, space)


for _name in ("DoorKey-5x5", "Empty-8x8", "MemoryS7"):
    gymnasium.register(f"{_name}-v0", make_grid, kwargs={"grid": f"MiniGrid-{_name}-v0"})
