"""Convolutional encoder of images, with the channel order read off the shape."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from algos.models.base import initialise_linear
from algos.models.encoders.encoder import Encoder
from rungwise.validation import InputError

SMALLEST_GREY_SIDE = 7
"""Sides of the smallest table of bytes that counts as a grey image (MiniGrid's view has 7)."""


class Convolution(NamedTuple):
    """Channels that come out, size of the square kernel, and stride, in pixels."""

    channels: int
    kernel: int
    stride: int


NATURE = (Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1)), 512
"""Layers and features for sides of at least 36 pixels (Mnih et al. 2015, 84 x 84)."""
MEDIUM = (Convolution(16, 4, 2), Convolution(32, 3, 2)), 128
"""The same for sides of 20 to 35 pixels, which Nature's kernels do not fit."""
SMALL = (Convolution(16, 3, 1), Convolution(32, 3, 1)), 128
"""The same below 20 pixels, as in MinAtar (Young and Tian 2019), where a pixel is an object: no
stride, which would skip some."""


class ImageShape(NamedTuple):
    """How the axes of an image are read, after the axis of rows.

    Attributes:
        frames: images that lie behind one another in the axis before the image; their channels are
            joined.
        channels: of one image.
        height, width: in pixels.
        channels_last: whether an image is [H, W, C] (Gymnasium) or [C, H, W] (torch).
    """

    frames: int
    channels: int
    height: int
    width: int
    channels_last: bool


def is_image(space: spaces.Space[Any]) -> bool:
    """Whether a part is an image [H, W, C] or [C, H, W], a stack of images, or a grey image [H, W].

    Two axes alone are an image only where they hold bytes: of other numbers they are a table.
    """
    if not isinstance(space, spaces.Box):
        return False
    if len(space.shape) == 2:
        return space.dtype == np.uint8 and min(space.shape) >= SMALLEST_GREY_SIDE
    return len(space.shape) in (3, 4)


def detect_image_shape(shape: tuple[int, ...], frames: int = 1) -> ImageShape:
    """Detect frames, channels, height and width of an image's axes.

    Of three axes, two equal neighbours are height and width. Where all differ, the smallest axis
    holds the channels if it is the first or the last. Where all are equal, and where the middle one
    is the smallest, channels come last, which is Gymnasium's convention.

    Args:
        shape: of one image or of a stack of them, without the axis of rows.
        frames: observations that the policy itself stacks before these axes.

    >>> detect_image_shape((4, 84, 84))
    ImageShape(frames=1, channels=4, height=84, width=84, channels_last=False)
    >>> detect_image_shape((10, 10, 7), frames=2)
    ImageShape(frames=2, channels=7, height=10, width=10, channels_last=True)
    """
    if len(shape) == 4:
        frames, shape = frames * shape[0], shape[1:]
    a, b, c = shape if len(shape) == 3 else (1, *shape)
    first = a != b if b == c else a != b and a < min(b, c)
    return (
        ImageShape(frames, a, b, c, channels_last=False)
        if first
        else ImageShape(frames, c, a, b, channels_last=True)
    )


class ImageEncoder(Encoder):
    """Convolutions and one normalised layer over all that comes out of them, with rectifiers."""

    def __init__(self, name: str, space: spaces.Box, frames: int) -> None:
        """Create the layers for an image's space.

        Raises:
            InputError: an image of one pixel.
        """
        super().__init__()
        self.image = detect_image_shape(space.shape, frames)
        _, _, height, width, _ = self.image
        if height * width <= 1:
            raise InputError(
                f"{name} is an image of one pixel, {space.shape}, in which there is nothing to see "
                f"side by side. Make it a vector of {math.prod(space.shape)} numbers "
                "(gymnasium.wrappers.ReshapeObservation), or set model='mlp'."
            )
        # Bytes come as they are: scaling them here keeps stored rollouts at a quarter of the size.
        self.scale = 255.0 if space.dtype == np.uint8 else 1.0
        side = min(height, width)
        self.kernels, self.size = NATURE if side >= 36 else MEDIUM if side >= 20 else SMALL
        # Below 5 pixels nothing would be left after two kernels of 3.
        padding = 1 if side < 5 else 0
        layers: list[nn.Module] = []
        channels = self.image.frames * self.image.channels
        for layer in self.kernels:
            made = nn.Conv2d(channels, *layer, padding=padding)
            layers += [_initialise_convolution(made), nn.ReLU()]
            channels = layer.channels
            height, width = (
                (size + 2 * padding - layer.kernel) // layer.stride + 1 for size in (height, width)
            )
        last = nn.Linear(channels * height * width, self.size)
        # Normalised, so that the features do not depend on the scale of the pixels: MiniGrid's
        # bytes end at 10 and not at 255, and floats have no scale at all. In 100k steps of MinAtar
        # Breakout two seeds reached 6.8 and 5.7 with it, 5.6 and 4.8 without it.
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            initialise_linear(last, 2**0.5),
            nn.LayerNorm(self.size),
            nn.ReLU(),
        )

    def forward(self, column: Tensor) -> Tensor:
        """Return the features [N, size] of images [N, ...] in any of the layouts above."""
        frames, channels, height, width, channels_last = self.image
        axes = (height, width, channels) if channels_last else (channels, height, width)
        images = column.reshape(-1, frames, *axes)
        if channels_last:
            images = images.movedim(-1, 2)
        return self.layers(images.flatten(1, 2).to(torch.float32) / self.scale)

    def describe(self) -> str:
        """Describe the image and the kernels."""
        frames, channels, height, width, channels_last = self.image
        order = "last" if channels_last else "first"
        stack = f"{frames} frames of " if frames > 1 else ""
        kernels = ", ".join(f"{k.kernel} x {k.kernel}" for k in self.kernels)
        return (
            f"convolutions ({kernels}) over {stack}{height} x {width} pixels in {channels} "
            f"channels ({order}): {self.size} features"
        )


def _initialise_convolution(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.orthogonal_(layer.weight, 2**0.5)
    assert layer.bias is not None  # noqa: S101
    nn.init.zeros_(layer.bias)
    return layer
