"""The environment in which a policy is evaluated, and whether the policy can act there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from algos.policy import Policy, have_same_structure
from algos.rollouts.env_factory import list_arguments, make_vector_env
from envs import FAMILIES
from envs.contract.batched import World, get_world
from envs.factory import make_params
from rungwise.validation import InputError, get_fields


def make_world(
    env: str, env_kwargs: Mapping[str, Any], policy: Policy | None = None
) -> World[Any] | None:
    """Return the batched world behind an environment; None for any other Gymnasium environment.

    Args:
        env: id of the environment.
        env_kwargs: its arguments.
        policy: the policy that will act there: some worlds contain it themselves.
    """
    made = make_vector_env(env, dict(env_kwargs), 1)
    made.close()
    world = get_world(made)
    if world is None:
        return None
    world = world.at_last_stage()
    return world.with_policy_weights(policy.module.get_state()) if policy else world


def list_changed_arguments(
    env: str, trained_in: Mapping[str, Any], evaluated_in: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of an evaluation's environment that have another value than in training.

    An argument that training left to its default is compared with that.
    """
    before, after = (_list_effective(env, kwargs) for kwargs in (trained_in, evaluated_in))
    return {
        name: value
        for name, value in evaluated_in.items()
        if name not in before or _encode(before[name]) != _encode(after[name])
    }


def _list_effective(env: str, env_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of an environment, those that are left to their defaults included."""
    family = FAMILIES.get(env.removeprefix("envs:"))
    if family is None:
        return list_arguments(env, env_kwargs)
    known = get_fields(family.params)
    own = {name: value for name, value in env_kwargs.items() if name in known}
    return {**env_kwargs, **vars(make_params(family.params, own))}


def _encode(value: object) -> str:
    """Return a value as text, in which a tuple equals the list that a file made of it."""
    return json.dumps(value, sort_keys=True, default=str)


def check_policy_fits(policy: Policy, env: str, env_kwargs: Mapping[str, Any]) -> None:
    """Refuse an environment whose observations or actions this policy was not made for.

    Raises:
        InputError: they differ; the message names how.
    """
    own = (policy.observation_space, policy.action_space)
    check_spaces_fit(own, env, env_kwargs, any_size=policy.module.accepts_any_size)


def check_spaces_fit(
    own: tuple[Any, Any], env: str, env_kwargs: Mapping[str, Any], *, any_size: bool
) -> None:
    """Refuse an environment whose spaces are not those of training.

    Args:
        own: the spaces of observations and actions in training.
        env: the environment.
        env_kwargs: its arguments.
        any_size: whether the policy takes observations of any size.

    Raises:
        InputError: they differ, or the environment cannot be made; the message names how.
    """
    made = make_vector_env(env, dict(env_kwargs), 1)
    there = (made.single_observation_space, made.single_action_space)
    made.close()
    if any_size:
        fits = all(map(have_same_structure, own, there)) and _have_same_features(own, there)
        remedy = "change what differs from training, other than the size."
    else:
        fits = own == there
        remedy = "change what differs from training, or train with --settings.model set, whose "
        remedy += "policies take graphs of any size."
    for what, mine, theirs in zip(("observations", "actions"), own, there, strict=True):
        if not fits and mine != theirs:
            raise InputError(
                f"The policy is trained for {what} of {_format_space(mine)}, but {env} with "
                f"{dict(env_kwargs)} has {_format_space(theirs)}: {remedy}"
            )


def _have_same_features(own: Sequence[Any], there: Sequence[Any]) -> bool:
    """Return whether two pairs (observations, actions) have the same features per node and edge.

    The last axis of a part may differ as the number of choices does, or as the rows of another
    part: that is a mask.
    """
    # A space does not name its axes. A last axis that differs is taken for a size, not for
    # features, only if some other part differs in just the same way.
    parts = list(zip(_split_space(own[0]).values(), _split_space(there[0]).values(), strict=True))
    sizes = {tuple(_count_choices(action) for _, action in (own, there))}
    sizes |= {m.shape[:1] + t.shape[:1] for m, t in parts if len(m.shape) > 1}
    return all(
        np.issubdtype(mine.dtype, np.integer)
        or mine.shape[-1:] == theirs.shape[-1:]
        or mine.shape[-1:] + theirs.shape[-1:] in sizes
        for mine, theirs in parts
    )


def _count_choices(action: gymnasium.Space[Any]) -> int | None:
    return getattr(_split_space(action).get("choice", action), "n", None)


def _split_space(space: gymnasium.Space[Any]) -> dict[str, Any]:
    return dict(space.spaces) if isinstance(space, gymnasium.spaces.Dict) else {"": space}


def _format_space(space: gymnasium.Space[Any]) -> str:
    """Format a space by the shapes of its parts: nodes 5 x 11, mask 5."""
    return ", ".join(
        f"{name} {' x '.join(map(str, part.shape)) or part}".strip()
        for name, part in _split_space(space).items()
    )
