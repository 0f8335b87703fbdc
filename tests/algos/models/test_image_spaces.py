# pyright: basic
"""Which observation parts are images."""

import numpy as np
import pytest
from gymnasium import spaces

from algos.models.image_spaces import find_image_columns, is_image


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((84, 84, 3), np.uint8, True),
        ((4, 84, 84), np.uint8, True),
        ((210, 160), np.uint8, True),
        ((7, 7, 3), np.uint8, True),
        ((10, 10, 4), np.float32, True),
        ((20, 3), np.float32, False),
        ((50, 50, 50), np.float32, False),
        ((3, 4, 3), np.uint8, False),
        ((8,), np.uint8, False),
    ],
)
def test_images_are_told_by_shape_and_type(shape, dtype, expected):
    assert is_image(spaces.Box(0, 1, shape, dtype)) is expected


def test_only_image_columns_are_listed():
    columns = {"obs.view": spaces.Box(0, 255, (9, 9, 3), np.uint8), "obs.age": spaces.Discrete(3)}
    assert find_image_columns(columns) == ["obs.view"]
