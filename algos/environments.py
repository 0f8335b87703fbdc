"""Making environments by their Gymnasium ids, our own and anybody's."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv

from envs.validation import InputError


def env_spec(env_id: str) -> EnvSpec:
    """Gymnasium's entry for an environment, whose module (``module:Name-v0``) is imported.

    Raises:
        InputError: no environment has that id.
    """
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)  # registers its environments
        return gymnasium.spec(name)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        raise InputError(f"There is no environment {env_id!r}: {error}") from error


def make_vector_env(
    env_id: str, env_kwargs: dict[str, Any], num_envs: int, *, seeded: bool = False
) -> VectorEnv[Any, Any, Any]:
    """``num_envs`` copies of a registered environment, natively batched where it can be.

    With ``seeded`` each copy takes a seed of its own, as Gymnasium's batched ones do not.

    Raises:
        InputError: an environment that does not exist or does not take these arguments.
    """
    spec, same_step = env_spec(env_id), {"autoreset_mode": AutoresetMode.SAME_STEP}
    try:
        if spec.vector_entry_point:
            env = gymnasium.make_vec(env_id, num_envs, "vector_entry_point", **env_kwargs)
            if not seeded or hasattr(env, "world") or not spec.entry_point:
                return env
            env.close()
        return gymnasium.make_vec(env_id, num_envs, "sync", same_step, **env_kwargs)
    except TypeError as error:
        raise InputError(f"{env_id} cannot be made with {env_kwargs}: {error}") from error
