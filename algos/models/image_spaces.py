"""Observation parts that hold images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium import spaces

MOST_CHANNELS = 16
"""Largest number of channels of an image: four stacked frames of RGB are 12."""
SMALLEST_SIDE = 5
"""Smallest height and width of an image, in pixels or cells."""


def is_image(space: spaces.Space[Any]) -> bool:
    """Return whether a space holds images: [H, W, C] or [C, H, W], or [H, W] of bytes.

    >>> is_image(spaces.Box(0, 255, (84, 84, 3))), is_image(spaces.Box(0, 1, (20, 3)))
    (True, False)
    """
    if not isinstance(space, spaces.Box):
        return False
    shape = space.shape
    if len(shape) == 2:  # a table of numbers has two axes, too, but seldom bytes
        return space.dtype == "uint8" and min(shape) >= SMALLEST_SIDE
    if len(shape) != 3:
        return False
    sides = (shape[:2], shape[1:])
    channels = (shape[2], shape[0])
    return any(
        min(side) >= SMALLEST_SIDE and count <= MOST_CHANNELS
        for side, count in zip(sides, channels, strict=True)
    )


def find_image_columns(columns: Mapping[str, spaces.Space[Any]]) -> list[str]:
    """Return the names of the observation columns that hold images."""
    return [name for name, space in columns.items() if is_image(space)]
