"""Entry points of the registered ids: from keywords to environments."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from envs.contract.batched import BatchedVectorEnv, SingleEnv
from envs.contract.world import World
from rungwise.validation import InputError, get_fields, unknown_name_error

REFUSALS = {
    "scm": "--scm chooses the model of a causal environment, but {} is none: leave it out.",
    "matrix": "--matrix is for environments that compare policies with solvers, but this policy "
    "was trained for {}: leave it out.",
}
"""Flag that chooses a case -> the error where an environment has no such cases."""


def make_single(world: str, **fields: object) -> SingleEnv[Any]:
    """Make one copy of the world ``module:class`` with these fields of its parameters."""
    return SingleEnv(make_world(world, fields))


def make_vector(
    world: str, num_envs: int, max_episode_steps: int | None = None, **fields: object
) -> BatchedVectorEnv[Any]:
    """Make a batch of the world ``module:class`` with these fields of its parameters.

    Episodes are cut off after ``max_episode_steps``, as Gymnasium does for single environments.
    """
    # -1 is Gymnasium's own word for no limit.
    limit = None if max_episode_steps == -1 else max_episode_steps
    return BatchedVectorEnv(make_world(world, fields), num_envs, limit)


def make_world(path: str, fields: Mapping[str, Any]) -> World[Any]:
    """Make the world ``module:class`` with these fields of its parameters."""
    module, name = path.split(":")
    cls = getattr(importlib.import_module(module), name)
    return cls(make_params(cls.params_type, fields))


def make_params(cls: type, fields: Mapping[str, Any], where: str = "") -> Any:
    """Make a configuration from plain values; a nested one may be a mapping of its fields.

    Args:
        cls: the class of the configuration.
        fields: its fields.
        where: the argument that it is; empty for the arguments of the environment themselves.

    Raises:
        InputError: for a field that does not exist, with the nearest that does.
    """
    known = get_fields(cls)
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in known:
            raise unknown_name_error("argument", name, known, f"of {where or 'the environment'}")
        hint = known[name][0]
        nested = isinstance(hint, type) and dataclasses.is_dataclass(hint)
        is_table = isinstance(value, Mapping)
        values[name] = make_params(hint, value, name) if nested and is_table else value
    return cls(**values)


def make_case_kwargs(
    env: str, world: type[World[Any]] | None, trained_in: Mapping[str, Any], **cases: str
) -> dict[str, Any]:
    """Return the environment arguments of a comparison on cases by flag, empty where not given.

    Raises:
        InputError: the environment has no such cases.
    """
    for flag, case in cases.items():
        if case and not (world and world.case_flag == flag):
            raise InputError(REFUSALS[flag].format(env))
    return world.make_case_kwargs(cases.get(world.case_flag, ""), trained_in) if world else {}
