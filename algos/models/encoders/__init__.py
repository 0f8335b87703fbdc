"""Encoders of observation parts: one for each kind of part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from algos.models.base import MASK, describe_column, get_column_spaces, stack_spaces
from algos.models.encoders.discrete import DiscreteEncoder
from algos.models.encoders.encoder import Encoder
from algos.models.encoders.image import ImageEncoder, is_image
from algos.models.encoders.vector import VectorEncoder
from rungwise.validation import InputError


def make_encoders(space: spaces.Space[Any], config: Mapping[str, Any]) -> dict[str, Encoder]:
    """Return an encoder for each column of an observation, without its mask.

    Args:
        space: of one observation.
        config: of the model: ``hidden``, ``activation`` and ``frame_stack``.

    Raises:
        InputError: a part that no encoder reads.
    """
    columns = get_column_spaces(space)
    stacked = stack_spaces(columns, config["frame_stack"])
    encoders: dict[str, Encoder] = {}
    for name, part in columns.items():
        if name == MASK:
            continue
        check_readable(name, part)
        whole = stacked[name]
        # Judged before it is stacked: a stack of tables has the three axes of an image.
        if is_image(part) and isinstance(part, spaces.Box):
            encoders[name] = ImageEncoder(describe_column(name), part, config["frame_stack"])
        elif isinstance(whole, spaces.Discrete | spaces.MultiDiscrete):
            encoders[name] = DiscreteEncoder(whole)
        else:
            encoders[name] = VectorEncoder(whole, config["hidden"][0], config["activation"])
    return encoders


def list_images(space: spaces.Space[Any]) -> dict[str, spaces.Space[Any]]:
    """Return the space of each column of an observation that is an image.

    Raises:
        InputError: a part that no encoder reads.
    """
    parts = get_column_spaces(space)
    for name, part in parts.items():
        check_readable(name, part)
    return {name: part for name, part in parts.items() if name != MASK and is_image(part)}


def check_readable(name: str, space: spaces.Space[Any]) -> None:
    """Refuse a part that no encoder reads.

    Raises:
        InputError: more axes than a stack of images has, no numbers at all, or no plain numbers.
    """
    dtype = np.dtype(space.dtype)
    shape = space.shape or ()
    if isinstance(space, spaces.Box) and (len(shape) > 4 or 0 in shape or dtype.kind not in "biuf"):
        raise InputError(
            f"{describe_column(name)} has the shape {shape} and the type {dtype}, which no encoder "
            "reads: a part is a vector, a table, an image [H, W, C] or [C, H, W], or a stack of "
            "images, of real numbers. Reshape it, or leave it out (gymnasium.wrappers."
            "ReshapeObservation, FilterObservation)."
        )


def describe_encoders(space: spaces.Space[Any], config: Mapping[str, Any]) -> list[str]:
    """Return a line for each part of an observation: how ``model: auto`` reads it.

    Raises:
        InputError: a part that no encoder reads.
    """
    if not list_images(space):
        parts = stack_spaces(get_column_spaces(space), config["frame_stack"])
        return [
            f"{describe_column(name)}: {spaces.flatdim(part)} numbers of one perceptron's input"
            for name, part in parts.items()
            if name != MASK
        ]
    # Without weights, which would take seconds and a gigabyte for the largest images.
    with torch.device("meta"):
        encoders = make_encoders(space, config)
    return [f"{describe_column(name)}: {encoder.describe()}" for name, encoder in encoders.items()]
