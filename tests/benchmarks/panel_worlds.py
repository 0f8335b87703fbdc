# pyright: basic, reportMissingImports=false
"""Environments of the panel that must be registered or wrapped first, as a user would do it."""

import gymnasium


def make_minatar(game: str, **kwargs) -> gymnasium.Env:
    """A game of MinAtar: 10 x 10 pixels with a channel for each kind of object."""
    from minatar.gym import BaseEnv

    return BaseEnv(game, **kwargs)


def make_minigrid(id: str, **kwargs) -> gymnasium.Env:
    """A grid of MiniGrid as its image alone: the mission, a text, is the same in every episode."""
    import minigrid  # registers them
    from minigrid.wrappers import ImgObsWrapper

    del minigrid
    return ImgObsWrapper(gymnasium.make(id, **kwargs).unwrapped)


for _name, _game in (
    ("Breakout", "breakout"),
    ("SpaceInvaders", "space_invaders"),
    ("Asterix", "asterix"),
):
    gymnasium.register(f"{_name}-v0", make_minatar, kwargs={"game": _game})
for _name, _id in (
    ("DoorKey", "MiniGrid-DoorKey-5x5-v0"),
    ("Empty", "MiniGrid-Empty-8x8-v0"),
    ("Memory", "MiniGrid-MemoryS7-v0"),
):
    gymnasium.register(f"{_name}-v0", make_minigrid, kwargs={"id": _id})
