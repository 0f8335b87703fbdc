# pyright: basic
"""Observations in the type of their space."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from sound_env import Sound

from algos.rollouts.env_factory import make_single_env, make_vector_env

BYTES = spaces.Box(0, 255, (2,), np.uint8)


class Pixels(Sound):
    """Whole numbers of the wrong type, in a part of a Dict or a Tuple or alone."""

    def __init__(self, kind="alone"):
        self.kind = kind
        space = {
            "alone": BYTES,
            "dict": spaces.Dict(pixels=BYTES, size=spaces.Box(0, 9, (1,), np.int64)),
            "tuple": spaces.Tuple((BYTES, spaces.Discrete(2))),
        }
        self.observation_space = space[kind]

    def look(self):
        pixels = np.array([3, 255])
        return {
            "alone": pixels,
            "dict": {"pixels": pixels, "size": np.array([2])},
            "tuple": (pixels, 1),
        }[self.kind]


gymnasium.register("CastPixels-v0", lambda **kwargs: Pixels(**kwargs), disable_env_checker=True)


@pytest.mark.parametrize("kind", ["alone", "dict", "tuple"])
def test_whole_numbers_become_those_of_the_space(kind):
    single = make_single_env("CastPixels-v0", {"kind": kind})
    observation, _ = single.reset(seed=0)
    assert observation in single.observation_space
    batch = make_vector_env("CastPixels-v0", {"kind": kind}, 2)
    for observations in (batch.reset(seed=0)[0], batch.step(np.array([0, 1]))[0]):
        assert observations in batch.observation_space
