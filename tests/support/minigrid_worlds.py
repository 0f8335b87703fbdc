# pyright: basic, reportMissingImports=false
"""MiniGrid's memory task as an image, without its text: needs the package minigrid."""

import gymnasium
import minigrid  # noqa: F401 (registers its environments)
from minigrid.wrappers import ImgObsWrapper


def make_memory(**kwargs):
    """Remember the object of the start room, and walk to its like at the end of a hallway."""
    env = gymnasium.make("MiniGrid-MemoryS7-v0", disable_env_checker=True, **kwargs)
    return ImgObsWrapper(env)


gymnasium.register("MemoryS7-v0", make_memory)
