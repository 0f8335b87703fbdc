# pyright: basic, reportArgumentType=false
"""Images: channel order, scaling, and sizes from 2 pixels to Atari's 210 x 160."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from algos.models.encoders.image import ImageEncoder, detect_image_shape, is_image


def pixels(*shape, dtype=np.uint8):
    return spaces.Box(0, 255 if dtype == np.uint8 else 1, shape, dtype)


@pytest.mark.parametrize(
    ("shape", "frames", "channels", "height", "width"),
    [
        ((84, 84, 3), 1, 3, 84, 84),
        ((4, 84, 84), 1, 4, 84, 84),
        ((84, 84, 4), 1, 4, 84, 84),
        ((210, 160, 3), 1, 3, 210, 160),
        ((3, 210, 160), 1, 3, 210, 160),
        ((10, 10, 4), 1, 4, 10, 10),
        ((10, 10, 10), 1, 10, 10, 10),  # MinAtar's Seaquest
        ((7, 7, 3), 1, 3, 7, 7),
        ((5, 5, 20), 1, 20, 5, 5),
        ((20, 5, 5), 1, 20, 5, 5),
        ((5, 4, 26), 1, 26, 5, 4),
        ((96, 96), 1, 1, 96, 96),
        ((4, 96, 96, 3), 4, 3, 96, 96),
        ((4, 84, 84, 1), 4, 1, 84, 84),
    ],
)
def test_axes_of_known_environments_are_read_as_they_are(shape, frames, channels, height, width):
    found = detect_image_shape(shape)
    assert found[:4] == (frames, channels, height, width)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (pixels(84, 84, 3), True),
        (pixels(10, 10, 4, dtype=np.bool_), True),
        (pixels(84, 84), True),
        (pixels(5, 30), False),
        (pixels(84, 84, dtype=np.float32), False),
        (spaces.Box(-1, 1, (128,)), False),
        (spaces.MultiBinary((3, 8, 8)), False),
    ],
)
def test_a_table_of_numbers_is_no_image(space, expected):
    assert is_image(space) is expected


def test_both_channel_orders_give_the_same_features():
    torch.manual_seed(0)
    last, first = (ImageEncoder("x", pixels(*shape), 1) for shape in ((9, 8, 3), (3, 9, 8)))
    first.load_state_dict(last.state_dict())
    image = torch.randint(0, 256, (5, 9, 8, 3), dtype=torch.uint8)
    torch.testing.assert_close(last(image), first(image.permute(0, 3, 1, 2)))


def test_frames_are_channels_from_the_oldest_to_the_newest():
    stacked = ImageEncoder("x", pixels(9, 8, 3), 2)
    joined = ImageEncoder("x", pixels(9, 8, 6), 1)
    joined.load_state_dict(stacked.state_dict())
    frames = torch.randint(0, 256, (5, 2, 9, 8, 3), dtype=torch.uint8)
    together = torch.cat([frames[:, 0], frames[:, 1]], -1)
    torch.testing.assert_close(stacked(frames), joined(together))


def test_bytes_are_scaled_to_one_and_other_numbers_are_not():
    bytes_, floats = (ImageEncoder("x", pixels(8, 8, 1, dtype=t), 1) for t in (np.uint8, "float32"))
    floats.load_state_dict(bytes_.state_dict())
    image = torch.randint(0, 256, (3, 8, 8, 1), dtype=torch.uint8)
    torch.testing.assert_close(bytes_(image), floats(image.float() / 255))


@pytest.mark.parametrize(
    ("shape", "kernel", "size"),
    [
        ((84, 84, 4), 8, 512),
        ((210, 160, 3), 8, 512),
        ((36, 40, 3), 8, 512),
        ((35, 84, 3), 4, 128),
        ((20, 20, 3), 4, 128),
        ((19, 19, 3), 3, 128),
        ((10, 10, 4), 3, 128),
        ((7, 7, 3), 3, 128),
        ((2, 2, 3), 3, 128),
        ((1, 9, 3), 3, 128),
    ],
)
def test_every_size_of_image_has_kernels_that_fit(shape, kernel, size):
    encoder = ImageEncoder("x", pixels(*shape), 1)
    assert (encoder.kernels[0].kernel, encoder.size) == (kernel, size)
    assert encoder(torch.zeros(2, *shape, dtype=torch.uint8)).shape == (2, size)


def test_features_hardly_depend_on_the_scale_of_the_pixels():
    encoder = ImageEncoder("x", pixels(8, 8, 3), 1)
    image = torch.randint(0, 10, (3, 8, 8, 3), dtype=torch.uint8)
    torch.testing.assert_close(encoder(image), encoder(image * 25), atol=0.05, rtol=0.05)


def test_the_usual_network_of_84_pixels_has_its_published_weights():
    encoder = ImageEncoder("x", pixels(84, 84, 4), 1)
    shapes = [tuple(weight.shape) for weight in encoder.parameters() if weight.ndim > 1]
    assert shapes == [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (512, 3136)]
