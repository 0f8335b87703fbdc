"""The world in which a policy is evaluated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from algos.policy import Policy
from algos.rollouts.env_factory import list_arguments, make_vector_env
from envs import FAMILIES
from envs.batched import World, get_world
from envs.factory import make_params
from envs.validation import InputError, get_fields


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


def _encode(value: Any) -> str:
    """Return a value as text, in which a tuple equals the list that a file made of it."""
    return json.dumps(value, sort_keys=True, default=str)


def make_scm_kwargs(
    scm: str, env: str, trained_in: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the arguments that give a causal environment the model or family ``scm``.

    Args:
        scm: a model or a family of models.
        env: id of the environment.
        trained_in: environment arguments of the policy's training. A policy trained on a family
            sees the single model in a family's form, with a student for one model. A target and a
            pool that belong to another model are reset.

    Raises:
        InputError: the environment is not a causal one.
    """
    family = FAMILIES.get(env.removeprefix("envs:"))
    if family is None or "scm" not in (known := get_fields(family.params)):
        raise InputError(
            f"--scm chooses the model of a causal environment, but {env} is none: leave it out."
        )
    before, found = trained_in or {}, dict[str, Any](scm=scm)
    if "curriculum" in known:
        found["curriculum"] = False
    found |= {name: "" for name in ("target", "pool") if before.get(name)}
    if "like_family" in known and make_params(family.params, before).is_family:
        found |= {"like_family": True, "interactions": True}
    return found
