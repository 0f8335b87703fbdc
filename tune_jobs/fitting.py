"""Whether a policy can act in an environment other than that of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from algos.environments import make_vector_env
from algos.policy import Policy, same_kind
from envs.validation import InputError


def check_fits(policy: Policy, env: str, env_kwargs: Mapping[str, Any]) -> None:
    """Refuse an environment whose observations or actions this policy was not made for.

    Raises:
        InputError: naming what differs.
    """
    made = make_vector_env(env, dict(env_kwargs), 1)
    own = (policy.observation_space, policy.action_space)
    there = (made.single_observation_space, made.single_action_space)
    made.close()
    if policy.module.any_size:
        fits = all(map(same_kind, own, there)) and _same_figures(own, there)
        remedy = "change what differs from training, other than the size."
    else:
        fits = own == there
        remedy = "change what differs from training, or train with --settings.model set, whose "
        remedy += "policies take graphs of any size."
    for what, mine, theirs in zip(("observations", "actions"), own, there, strict=True):
        if not fits and mine != theirs:
            raise InputError(
                f"This policy was trained for {what} of {_shown(mine)}, but {env} with "
                f"{dict(env_kwargs)} has {_shown(theirs)}: {remedy}"
            )


def _same_figures(own: Sequence[Any], there: Sequence[Any]) -> bool:
    """Whether (observations, actions) of two sizes have as many figures of each node and edge.

    The last axis of a part may differ as the choices do, or as the rows of another part: a mask's.
    """
    parts = list(zip(_parts(own[0]).values(), _parts(there[0]).values(), strict=True))
    sizes = {tuple(_choices(action) for _, action in (own, there))}
    sizes |= {m.shape[:1] + t.shape[:1] for m, t in parts if len(m.shape) > 1}
    return all(
        np.issubdtype(mine.dtype, np.integer)
        or mine.shape[-1:] == theirs.shape[-1:]
        or mine.shape[-1:] + theirs.shape[-1:] in sizes
        for mine, theirs in parts
    )


def _choices(action: Any) -> int | None:
    return getattr(_parts(action).get("choice", action), "n", None)


def _parts(space: Any) -> dict[str, Any]:
    return dict(space.spaces) if isinstance(space, gymnasium.spaces.Dict) else {"": space}


def _shown(space: Any) -> str:
    """A space by the shapes of its parts: nodes 5 x 11, mask 5."""
    return ", ".join(
        f"{name} {' x '.join(map(str, part.shape)) or part}".strip()
        for name, part in _parts(space).items()
    )
