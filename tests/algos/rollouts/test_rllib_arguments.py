# pyright: basic
"""What users of RLlib ask of an algorithm and its runner: it is done anyway, or refused."""

from typing import Any

import pytest
import small

from algos.ppo import PPO
from rungwise.validation import InputError

COUNTING = "toy_worlds:Counting-v0"


@pytest.mark.parametrize(
    "asked",
    [
        {"num_timesteps": 100},
        {"num_timesteps": 0},
        {"num_episodes": 5},
        {"explore": False},
        {"random_actions": True},
        {"force_reset": True},
        {"num_step": 5},
    ],
    ids=str,
)
def test_a_sample_that_is_not_a_rollout_is_refused(asked):
    ((name, value),) = asked.items()
    with pytest.raises(InputError, match=rf"sample\({name}={value}\).*8 steps of 2 copies"):
        small.runner(COUNTING).sample(**asked)


def test_a_sample_may_be_asked_for_what_is_done_anyway():
    plain: Any = {"num_timesteps": None, "num_episodes": None, "explore": True}
    rows, _ = small.runner(COUNTING).sample(**plain, random_actions=False, force_reset=False)
    assert len(rows) == 16


def test_an_evaluation_by_rllib_is_refused_with_what_replaces_it():
    algorithm: Any = PPO
    with pytest.raises(InputError, match=r"`rungwise evaluate CHECKPOINT`.*held_out_interval"):
        algorithm.evaluate(None)
