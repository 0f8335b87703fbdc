# pyright: basic, reportArgumentType=false
"""Tasks that need memory are solved with it and not without; pixels are read."""

from typing import Any

import pytest
from training_loop import mean_of_last, train

pytestmark = pytest.mark.slow

CARDS = "memory_worlds:RepeatPrevious-v0"
SETTINGS: dict[str, Any] = {
    **{"num_envs": 8, "rollout_length": 128, "minibatch_size": 256, "epochs": 8},
    **{"lr": 3e-3, "lr_schedule": "linear", "hidden": (32,), "gamma": 0.5},
}
CHANCE = 11.4
"""Two free points and a third of the 28 others."""


@pytest.mark.parametrize(
    "chosen", [{"memory": "gru"}, {"memory": "lstm"}, {"frame_stack": 3}], ids=str
)
def test_a_card_of_two_steps_ago_is_remembered(chosen):
    returns, _ = train(CARDS, 40_000, **SETTINGS | chosen)
    assert mean_of_last(returns) > 25


@pytest.mark.parametrize("chosen", [{}, {"frame_stack": 2}], ids=str)
def test_without_enough_memory_nothing_is_learnt(chosen):
    returns, _ = train(CARDS, 40_000, **SETTINGS | chosen)
    assert mean_of_last(returns) < CHANCE + 1


def test_a_ball_made_of_pixels_is_caught():
    settings = SETTINGS | {"gamma": 0.99, "hidden": (64,), "lr": 1e-3, "activation": "relu"}
    returns, _ = train("memory_worlds:Catch-v0", 20_000, **settings)
    assert mean_of_last(returns) > 0.9 > 4 * mean_of_last(returns[:200], 200)


def test_a_pole_without_velocities_is_balanced_by_memory_alone():
    settings = SETTINGS | {"gamma": 0.98, "hidden": (64,), "lr": 2e-3}
    with_memory, without = (
        mean_of_last(train("memory_worlds:Positions-v0", 60_000, **settings | chosen)[0], 50)
        for chosen in ({"memory": "gru"}, {})
    )
    assert with_memory > 300 and without < 150
