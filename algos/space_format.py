"""Spaces as JSON, so that what is read equals what was written.

RLlib's own form, which ``policy.json`` has had from the beginning, loses the start of a
MultiDiscrete space and the type of a Discrete one: a policy that was read acted outside of its
action space. Here both are written, too, and whatever would still be lost is refused.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from ray.rllib.utils.serialization import gym_space_from_dict, gym_space_to_dict

from rungwise.validation import InputError


def space_to_dict(space: spaces.Space[Any]) -> dict[str, Any]:
    """Return a space as a dictionary that JSON can hold.

    Raises:
        InputError: the space would not be the same when it is read.
    """
    try:
        described = _describe(space)
        read = space_from_dict(json.loads(json.dumps(described)))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"A policy for {space} cannot be stored ({error}): make it a Box, Discrete, "
            "MultiDiscrete or MultiBinary, or a Dict or Tuple of them."
        ) from error
    if read != space:
        raise InputError(
            f"A policy for {space} cannot be stored: it would be read as {read}. Make it a "
            "plain Box, Discrete, MultiDiscrete or MultiBinary, or a Tuple or Dict of them, with "
            "names as keys."
        )
    return described


def space_from_dict(described: Mapping[str, Any]) -> spaces.Space[Any]:
    """Return the space that :func:`space_to_dict`, or an older version, has written."""
    kind, rest = described["space"], dict(described)
    if kind == "dict":
        # Ordered, or Gymnasium would sort the names.
        parts = OrderedDict((name, space_from_dict(part)) for name, part in rest["spaces"].items())
        return spaces.Dict(parts)
    if kind == "tuple":
        return spaces.Tuple([space_from_dict(part) for part in rest["spaces"]])
    if kind != "multi-discrete":
        return gym_space_from_dict(rest)
    start = rest.pop("start", None)
    read: Any = gym_space_from_dict(rest)
    if start is None:  # of an older version, which had only those that begin at 0
        return read
    return spaces.MultiDiscrete(read.nvec, read.dtype, start=np.asarray(start, read.dtype))


def _describe(space: spaces.Space[Any]) -> dict[str, Any]:
    if isinstance(space, spaces.Dict):
        parts = {name: _describe(part) for name, part in space.spaces.items()}
        return {"space": "dict", "spaces": parts}
    if isinstance(space, spaces.Tuple):
        return {"space": "tuple", "spaces": [_describe(part) for part in space.spaces]}
    described: dict[str, Any] = gym_space_to_dict(space)
    if isinstance(space, spaces.MultiDiscrete):
        described["start"] = space.start.tolist()
    elif isinstance(space, spaces.Discrete):
        described["dtype"] = space.dtype.str
    elif isinstance(space, spaces.MultiBinary):
        described["n"] = np.asarray(space.n).tolist()
    return described
