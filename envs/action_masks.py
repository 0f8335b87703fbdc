"""Masks of legal actions, in the forms that environments offer them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.pytree import Array

Form: TypeAlias = Literal["mask", "action_mask", "info", "method"]

FORMS: dict[Form, str] = {
    "mask": "the part `mask` of its observation",
    "action_mask": "the part `action_mask` of its observation",
    "info": '`info["action_mask"]`',
    "method": "`action_masks()`",
}
"""Each form of a mask, in words."""
READ: frozenset[Form] = frozenset({"mask"})
"""Forms that policies read."""


@dataclasses.dataclass(frozen=True)
class Mask:
    """Which actions are legal now."""

    form: Form
    """How the environment says so."""
    legal: Array
    """[choices] of a discrete action; of MultiDiscrete those of all parts, one after another."""


def find_mask(
    env: gymnasium.Env[Any, Any], observation: Any, info: Any, forms: frozenset[Form] | None = None
) -> Mask | None:
    """Return the mask that an environment offers in one of these forms (None: in any)."""
    space = env.action_space
    for form in FORMS if forms is None else forms:
        found = _find_in(form, env, observation, info)
        legal = None if found is None else _flatten(found)
        if legal is not None and is_mask_of(space, legal):
            return Mask(form, legal)
    return None


def is_legal(space: spaces.Space[Any], legal: Array, action: Any) -> bool:
    """Return whether a mask that fits the space allows an action.

    >>> is_legal(spaces.Discrete(3), np.array([1, 0, 1]), 1)
    False
    >>> is_legal(spaces.MultiDiscrete([2, 2]), np.array([1, 0, 0, 1]), [0, 1])
    True
    """
    if isinstance(space, spaces.Dict):
        return is_legal(space["choice"], legal, action["choice"])
    if isinstance(space, spaces.MultiDiscrete):
        chosen = np.asarray(action) - space.start
        return all(bool(m[c]) for m, c in zip(_split_mask(space, legal), chosen.flat, strict=True))
    return bool(legal[int(action) - int(cast("spaces.Discrete", space).start)])


def sample_legal(space: spaces.Space[Any], legal: Array | None) -> Any:
    """Draw an action that the mask allows; None allows all."""
    if legal is None:
        return space.sample()
    legal = np.asarray(legal).astype(np.int8)
    if isinstance(space, spaces.Dict):
        return space.sample(mask={name: legal if name == "choice" else None for name in space})
    if isinstance(space, spaces.MultiDiscrete):
        return space.sample(mask=tuple(_split_mask(space, legal)))
    return space.sample(mask=legal)


def is_mask_of(space: spaces.Space[Any], legal: Array) -> bool:
    """Return whether an array could be the mask of a space."""
    return np.shape(legal) == (_count_choices(space),)


def _find_in(form: Form, env: Any, observation: Any, info: Any) -> Any:
    if form == "info":
        return info.get("action_mask") if isinstance(info, Mapping) else None
    if form == "method":
        named = env.has_wrapper_attr("action_masks")
        return env.get_wrapper_attr("action_masks")() if named else None
    return observation.get(form) if isinstance(observation, Mapping) else None


def _flatten(found: Any) -> Array | None:
    parts = found if isinstance(found, tuple | list) else [found]
    try:
        return np.concatenate([np.asarray(part).reshape(-1) for part in parts]).astype(np.int8)
    except (TypeError, ValueError):
        return None


def _count_choices(space: spaces.Space[Any]) -> int:
    """Count the options of this space's mask; -1 for a space that cannot have one."""
    if isinstance(space, spaces.Dict):
        choice = space.spaces.get("choice")
        return _count_choices(choice) if isinstance(choice, spaces.Discrete) else -1
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return int(space.nvec.sum())
    return int(space.n) if isinstance(space, spaces.Discrete) else -1


def _split_mask(space: spaces.MultiDiscrete, legal: Array) -> list[Array]:
    return np.split(np.asarray(legal, np.int8), np.cumsum(space.nvec)[:-1])
