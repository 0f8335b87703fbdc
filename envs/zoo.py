"""Environments of MiniGrid without the part that no policy reads: ``envs.zoo:DoorKey-5x5-v0``.

Presets train on two of them. They are also the example of how an environment is wrapped: a module
that registers it, with a function that makes one copy.
"""

from __future__ import annotations

from typing import Any

import gymnasium

from envs.optional_imports import import_extra


def make_grid(grid: str, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """Make a grid of MiniGrid as its image alone [7, 7, 3].

    Its mission is a text, and the same in every episode.
    """
    wrappers = import_extra("minigrid.wrappers", "zoo")
    return wrappers.ImgObsWrapper(gymnasium.make(grid, **kwargs).unwrapped)


for _name in ("DoorKey-5x5", "Empty-8x8", "MemoryS7"):
    gymnasium.register(f"{_name}-v0", make_grid, kwargs={"grid": f"MiniGrid-{_name}-v0"})
