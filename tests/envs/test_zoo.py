# pyright: basic
"""Environments of other packages as policies read them."""

import gymnasium
import pytest

import envs.zoo  # registers them

pytest.importorskip("minigrid")


@pytest.mark.parametrize("name", ["DoorKey-5x5-v0", "Empty-8x8-v0", "MemoryS7-v0"])
def test_a_grid_is_its_image_alone(name):
    env = gymnasium.make(f"{envs.zoo.__name__}:{name}")
    assert env.observation_space.shape == (7, 7, 3)
    seen, _ = env.reset(seed=0)
    assert seen in env.observation_space
