"""RLlib's ``Algorithm.evaluate``: whole episodes with the policy as it stands.

RLlib's own asks a runner for episodes, and ours collects columns. Here the driver plays them, on
seeds that training never uses, and reports them under RLlib's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from algos.models.base import to_observation_columns
from algos.rollouts.env_factory import make_vector_env
from algos.rollouts.episodes import measure_returns
from envs.batched import get_world
from envs.validation import InputError


def evaluate_episodes(
    config: Any, spaces: Mapping[str, Any] | None, weights: Any
) -> dict[str, Any]:
    """Play ``evaluation_duration`` episodes, with ``evaluation_config``, and sum them up.

    Args:
        config: the algorithm's; its ``evaluation_config`` may change ``explore`` (false: the most
            likely actions), ``env``, ``env_config`` and ``seed``.
        spaces: observation and action space of each module.
        weights: of the policy.

    Raises:
        InputError: something of RLlib's evaluation that is not done here.
    """
    episodes = _count_episodes(config)
    own = config.get_evaluation_config_object() or config
    assert spaces is not None  # noqa: S101
    observation, action = spaces[DEFAULT_MODULE_ID]
    spec: RLModuleSpec = config.get_default_rl_module_spec()
    spec.observation_space, spec.action_space = observation, action
    policy: Any = spec.build()
    policy.to(config.get_acting_device()).set_state(weights)
    seed = own.seed or 0
    generator = torch.Generator().manual_seed(seed)

    state = policy.initial_state(episodes)

    def act(observation: Any) -> Any:
        nonlocal state
        seen, state = policy.recall(to_observation_columns(observation), state)
        taken, _, _, recurrent = policy.act_on_arrays(seen, generator, greedy=not own.explore)
        state |= recurrent
        return policy.head.to_env_action(taken)

    env: Any = make_vector_env(own.env, own.env_config, episodes)
    world = get_world(env)
    if world:
        env.unwrapped.world = world.with_policy_weights(weights).at_last_stage()
    try:
        returns, lengths = measure_returns(env, act, seed)
    finally:
        env.close()
    return {
        "env_runners": {
            "episode_return_mean": float(returns.mean()),
            "episode_return_min": float(returns.min()),
            "episode_return_max": float(returns.max()),
            "episode_len_mean": float(lengths.mean()),
            "num_episodes": episodes,
            "num_env_steps_sampled": int(lengths.sum()),
        }
    }


def _count_episodes(config: Any) -> int:
    """Return the number of episodes that RLlib's configuration asks for.

    Raises:
        InputError: another unit than episodes, or a function or runners of the user's own.
    """
    duration, unit = config.evaluation_duration, config.evaluation_duration_unit
    if duration == "auto" or unit != "episodes":
        raise InputError(
            f"evaluate() plays a number of whole episodes, but evaluation_duration is "
            f"{duration!r} and its unit {unit!r}: set evaluation_duration=20 and "
            "evaluation_duration_unit='episodes'."
        )
    if config.custom_evaluation_function or config.evaluation_num_env_runners:
        raise InputError(
            "evaluate() plays its episodes in the driver: leave out custom_evaluation_function and "
            "evaluation_num_env_runners, or evaluate a saved checkpoint with a loop of your own "
            "(algos.policy.Policy.load)."
        )
    return int(duration)
