# pyright: basic
"""Spaces that are written and read are the same."""

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from ray.rllib.utils.serialization import gym_space_to_dict

from algos.space_format import space_from_dict, space_to_dict
from rungwise.validation import InputError

SPACES = [
    spaces.MultiDiscrete([3, 3], start=[10, 20]),
    spaces.MultiDiscrete(np.array([[3, 3], [2, 2]]), np.int32, start=np.array([[1, 2], [3, -4]])),
    spaces.Discrete(3, start=-2, dtype=np.int8),
    spaces.MultiBinary([2, 3]),
    spaces.MultiBinary(4),
    spaces.Box(-np.inf, np.inf, (3,), np.float64),
    spaces.Box(np.array([-1, 0], np.float32), np.array([1, np.inf], np.float32)),
    spaces.Box(0, 255, (2, 2, 3), np.uint8),
]
NUMBERED: dict[Any, Any] = {0: SPACES[3]}
PARTS: dict[str, Any] = {"b": SPACES[0], "a": spaces.Tuple((SPACES[2], spaces.Dict(x=SPACES[5])))}


@pytest.mark.parametrize("space", [*SPACES, spaces.Dict(list(PARTS.items()))], ids=str)
def test_a_space_is_read_as_it_was_written(space):
    read = space_from_dict(json.loads(json.dumps(space_to_dict(space))))
    assert read == space and read.dtype == space.dtype
    if isinstance(space, spaces.Dict) and isinstance(read, spaces.Dict):
        assert list(read) == list(space) == ["b", "a"]


def test_a_space_of_an_older_version_begins_at_zero():
    space = spaces.MultiDiscrete([3, 2])
    assert space_from_dict(gym_space_to_dict(space)) == space


@pytest.mark.parametrize(
    "space", [spaces.Dict(NUMBERED), spaces.Sequence(SPACES[3]), spaces.Text(3)], ids=str
)
def test_a_space_that_would_change_is_refused(space):
    with pytest.raises(InputError, match="cannot be stored"):
        space_to_dict(space)
