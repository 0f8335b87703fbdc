"""Time limits of episodes that are known before one has ended."""

from typing import Any

import gymnasium
import pytest
from gymnasium.spaces import Discrete

from envs.adapters.time_limit import find_time_limit


class Walk(gymnasium.Env[Any, Any]):
    """It may have a limit of its own, by the name that MiniGrid uses."""

    observation_space = action_space = Discrete(2)

    def __init__(self, limit: Any = None) -> None:
        if limit is not None:
            self.max_steps = limit


@pytest.mark.parametrize(
    ("limit", "found"), [(None, None), (100, 100), (-1, None), ("never", None), (True, None)]
)
def test_a_limit_of_the_environments_own_is_a_number_of_steps(limit: Any, found: int | None):
    assert find_time_limit(Walk(limit)) == found


def test_of_two_limits_the_shorter_one_ends_an_episode():
    limited = gymnasium.wrappers.TimeLimit(Walk(100), 70)
    assert find_time_limit(gymnasium.wrappers.OrderEnforcing(limited)) == 70
    assert find_time_limit(gymnasium.wrappers.TimeLimit(Walk(100), 200)) == 100


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_a_batch_has_the_limit_of_its_copies(mode: str):
    assert find_time_limit(gymnasium.make_vec("CartPole-v1", 2, mode)) == 500


def test_an_argument_replaces_the_limit_that_is_registered():
    for mode in ("sync", "vector_entry_point"):
        env = gymnasium.make_vec("CartPole-v1", 2, mode, max_episode_steps=700)
        assert find_time_limit(env) == 700
    assert find_time_limit(gymnasium.make("CartPole-v1", max_episode_steps=-1)) is None
