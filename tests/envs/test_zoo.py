# pyright: basic
"""Environments of other packages as policies read them."""

from typing import Any

import gymnasium
import numpy as np
import pytest

import envs.zoo  # registers them

pytest.importorskip("minigrid")


@pytest.mark.parametrize("name", ["DoorKey-5x5-v0", "Empty-8x8-v0", "MemoryS7-v0"])
def test_a_grid_is_the_codes_of_its_cells_one_hot(name):
    env = gymnasium.make(f"{envs.zoo.__name__}:{name}")
    seen, _ = env.reset(seed=0)
    assert seen in env.observation_space
    grid: Any = env.unwrapped
    codes = grid.gen_obs()["image"]
    parts = np.split(seen, [11, 17], axis=-1)  # kinds of cells, colours, states of doors
    for part, code in zip(parts, np.moveaxis(codes, -1, 0), strict=True):
        assert (part.sum(-1) == 1).all()
        assert (part.argmax(-1) == code).all()
