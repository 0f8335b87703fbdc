"""Masks of legal actions, in the forms that environments offer them.

Environments use a part of the observation, ``info`` or a method. Policies know one form: the part
``mask`` of a Dict observation. ``envs/contract/masked.py`` translates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from envs.contract.pytree import Array
from rungwise.validation import InputError

Form: TypeAlias = Literal["mask", "action_mask", "info", "method"]

FORMS: dict[Form, str] = {
    "mask": "the part `mask` of its observation",
    "action_mask": "the part `action_mask` of its observation",
    "info": '`info["action_mask"]`',
    "method": "`action_masks()`",
}
"""Each form of a mask, in words."""
PARTS: tuple[Form, ...] = ("mask", "action_mask")
"""Forms that are parts of a Dict observation, by their names there."""
MASK_PART, OBSERVATION_PART = "mask", "observation"
"""Parts of the observations that policies read: the mask, and what was not a Dict without it."""


class MaskError(InputError):
    """A mask of another size than that of its actions, or without any legal action."""


@dataclasses.dataclass(frozen=True)
class Mask:
    """Which actions are legal now."""

    form: Form
    """How the environment says so."""
    legal: Array
    """[choices] of a discrete action; of MultiDiscrete those of all parts, one after another."""


def find_mask(env: gymnasium.Env[Any, Any], observation: object, info: object) -> Mask | None:
    """Return the mask that an environment offers in any form; None if none fits its actions."""
    for form in FORMS:
        legal = flatten_mask(get_offered(form, env, observation, info))
        if legal is not None and is_mask_of(env.action_space, legal):
            return Mask(form, legal)
    return None


def read_mask(
    form: Form, env: gymnasium.Env[Any, Any], observation: object, info: object
) -> Array | None:
    """Return the mask [choices] that an environment offers in a form; None if it offers none.

    Raises:
        MaskError: it does not fit the actions.
    """
    given = get_offered(form, env, observation, info)
    if given is None:
        return None
    legal = flatten_mask(given)
    if legal is None or not is_mask_of(env.action_space, legal):
        size = "no numbers" if legal is None else f"{legal.size} numbers"
        raise MaskError(describe_wrong_size(form, size, env.action_space))
    return legal


def get_offered(form: Form, env: gymnasium.Env[Any, Any], observation: object, info: object) -> Any:
    """Return what an environment offers in a form, whatever it is; None if it offers nothing."""
    if form == "info":
        return info.get("action_mask") if isinstance(info, Mapping) else None
    if form == "method":
        return env.get_wrapper_attr("action_masks")() if has_method(env) else None
    return observation.get(form) if isinstance(observation, Mapping) else None


def has_method(env: gymnasium.Env[Any, Any]) -> bool:
    """Return whether an environment or one of its wrappers has a method ``action_masks``."""
    named = env.has_wrapper_attr("action_masks")
    return named and callable(env.get_wrapper_attr("action_masks"))


def describe_wrong_size(form: Form, size: str, space: spaces.Space[Any]) -> str:
    """Return the sentence about a mask that does not fit its actions."""
    return (
        f"The environment says which actions are legal by {FORMS[form]}, which holds {size}, but "
        f"{space} needs {count_choices(space)}: a 1 for each legal choice and a 0 for each other, "
        "those of a MultiDiscrete one part after another. If it is no mask of actions, give it "
        "another name."
    )


def find_forbidden(space: spaces.Space[Any], legal: Array) -> Array:
    """Return where masks [..., choices] leave some choice without any legal option [...]."""
    if isinstance(space, spaces.MultiDiscrete):
        ends = np.cumsum(space.nvec)[:-1]
        parts = np.split(legal != 0, ends, -1)
        return np.logical_not(np.all([part.any(-1) for part in parts], 0))
    return np.logical_not((legal != 0).any(-1))


def describe_forbidden(space: spaces.Space[Any], legal: Array) -> str:
    """Describe the first choice of a mask [choices] that has no legal option.

    >>> describe_forbidden(spaces.Discrete(200), np.zeros(200))
    '0 of 200 legal'
    >>> describe_forbidden(spaces.MultiDiscrete([2, 3]), np.array([1, 0, 0, 0, 0]))
    '0 of 3 legal in choice 2 of 2'
    """
    if not isinstance(space, spaces.MultiDiscrete):
        return f"0 of {count_choices(space)} legal"
    parts = _split_mask(space, legal)
    number = next(i for i, part in enumerate(parts) if not part.any())
    return f"0 of {len(parts[number])} legal in choice {number + 1} of {len(parts)}"


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
    # Any number but 0 is legal, as policies read it; Gymnasium takes nothing but 0 and 1.
    bits = (np.asarray(legal) != 0).astype(np.int8)
    if isinstance(space, spaces.Dict):
        return space.sample(mask={name: bits if name == "choice" else None for name in space})
    if isinstance(space, spaces.MultiDiscrete):
        return space.sample(mask=tuple(_split_mask(space, bits)))
    return space.sample(mask=bits)


def is_mask_of(space: spaces.Space[Any], legal: Array) -> bool:
    """Return whether an array could be the mask of a space."""
    return np.shape(legal) == (count_choices(space),)


def count_choices(space: spaces.Space[Any]) -> int:
    """Count the options of this space's mask; -1 for a space that cannot have one."""
    if isinstance(space, spaces.Dict):
        choice = space.spaces.get("choice")
        both = set(space.spaces) == {"choice", "value"}
        return count_choices(choice) if both and isinstance(choice, spaces.Discrete) else -1
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return int(space.nvec.sum())
    return int(space.n) if isinstance(space, spaces.Discrete) else -1


def add_mask_space(
    space: spaces.Space[Any], action_space: spaces.Space[Any], form: Form
) -> spaces.Dict:
    """Return the observation space in which the mask of a form is the part ``mask``.

    Raises:
        MaskError: the part of the observation does not fit the actions.
    """
    count = count_choices(action_space)
    if form not in PARTS:
        parts = space.spaces if isinstance(space, spaces.Dict) else {OBSERVATION_PART: space}
        return spaces.Dict({**parts, MASK_PART: spaces.MultiBinary(count)})
    observed = cast("spaces.Dict", space)
    parts = dict(observed.spaces)
    mask = parts.pop(form)
    if mask.shape != (count,):
        raise MaskError(describe_wrong_size(form, f"the shape {mask.shape}", action_space))
    return observed if form == MASK_PART else spaces.Dict({**parts, MASK_PART: mask})


def add_mask(
    space: spaces.Space[Any], observation: object, mask: npt.ArrayLike | None = None
) -> Any:
    """Return an observation of the environment (or a batch) in the form that policies read.

    Args:
        space: the observation space of the policy.
        observation: as the environment gives it, or already in that form.
        mask: the mask of an environment that does not observe it (``info`` or method).

    Raises:
        InputError: a mask that is missing or was not there in training.

    >>> space = spaces.Dict(observation=spaces.Discrete(2), mask=spaces.MultiBinary(2))
    >>> add_mask(space, 1, [0, 1])
    {'observation': 1, 'mask': array([0, 1])}
    """
    observed = space.spaces if isinstance(space, spaces.Dict) else {}
    if MASK_PART not in observed:
        if mask is None:
            return observation
        raise InputError("This policy was trained without a mask of actions: leave out `mask`.")
    whole = not isinstance(observation, Mapping)
    if whole and OBSERVATION_PART not in observed:
        return observation  # not what the policy reads, with or without a mask
    parts = {OBSERVATION_PART: observation} if whole else dict(cast("Any", observation))
    if MASK_PART not in parts:
        given = mask if mask is not None else parts.pop("action_mask", None)
        if given is None:
            raise InputError(
                "This policy chooses among legal actions, but a part is missing: `mask`. Give it "
                'with the observation, such as act(observation, mask=info["action_mask"]) or '
                "act(observation, mask=env.action_masks())."
            )
        parts[MASK_PART] = np.asarray(given)
    return parts


def flatten_mask(mask: object) -> Array | None:
    """Return a mask, or one for each part of a MultiDiscrete, as one array; None for others."""
    parts = mask if isinstance(mask, tuple | list) else [mask]
    try:
        return np.concatenate([np.asarray(part).reshape(-1) for part in parts]).astype(np.int8)
    except (TypeError, ValueError):
        return None


def _split_mask(space: spaces.MultiDiscrete, legal: Array) -> list[Array]:
    return np.split(np.asarray(legal, np.int8), np.cumsum(space.nvec)[:-1])
