# pyright: basic, reportArgumentType=false
"""Tasks that need memory are solved with it and not without; pixels are read."""

from typing import Any

import pytest
from training_loop import mean_of_last, train

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {
    **{"num_envs": 8, "rollout_length": 128, "minibatch_size": 256, "epochs": 8},
    **{"lr": 3e-3, "lr_schedule": "linear", "hidden": (32,), "gamma": 0.5},
}
MEMORIES = [{"memory": "gru"}, {"memory": "lstm"}]
CARDS = "memory_worlds:RepeatPrevious-v0"
CHANCE = 11.4
"""Two free points and a third of the 28 others."""
POPGYM = "popgym:popgym-RepeatPreviousEasy-v0"
"""The suit of three cards ago, of four suits: from -1 to 1, and -0.5 at chance."""
POPGYM_SETTINGS: dict[str, Any] = {"num_envs": 16, "minibatch_size": 512, "hidden": (64,)}
MAZE = "memory_worlds:TMaze-v0"
MAZE_SETTINGS: dict[str, Any] = {"num_envs": 16, "rollout_length": 64, "gamma": 0.95}
POLE = "memory_worlds:Positions-v0"
POLE_SETTINGS: dict[str, Any] = {
    **{"rollout_length": 64, "epochs": 10, "lr": 2e-3, "hidden": (64,)},
    **{"gamma": 0.98, "lam": 0.9, "entropy_coef": 0.0},
}


def learn(env, steps, seed, **changed):
    returns, _ = train(env, steps, seed=seed, **SETTINGS | changed)
    return returns


@pytest.mark.parametrize("chosen", MEMORIES, ids=str)
@pytest.mark.parametrize(
    ("env", "settings", "steps", "last", "least"),
    [
        (CARDS, {}, 20_000, 100, 29),
        (POPGYM, POPGYM_SETTINGS, 100_000, 100, 0.9),
        (MAZE, MAZE_SETTINGS, 20_000, 100, 0.9),
        (POLE, POLE_SETTINGS, 60_000, 50, 200),
    ],
    ids=["cards", "popgym", "maze", "pole"],
)
def test_what_was_seen_is_remembered(env, settings, steps, last, least, chosen, training_seed):
    if env == POPGYM:
        pytest.importorskip("popgym")
    assert mean_of_last(learn(env, steps, training_seed, **settings | chosen), last) > least


def test_a_stack_of_three_holds_the_card_of_two_steps_ago(training_seed):
    assert mean_of_last(learn(CARDS, 40_000, training_seed, frame_stack=3)) > 25


@pytest.mark.parametrize(
    ("env", "settings", "steps", "last", "most"),
    [
        (CARDS, {}, 20_000, 100, CHANCE + 1),
        (CARDS, {"frame_stack": 2}, 20_000, 100, CHANCE + 1),
        (POPGYM, POPGYM_SETTINGS, 100_000, 100, -0.4),
        (MAZE, MAZE_SETTINGS, 15_000, 400, 0.6),
        (MAZE, MAZE_SETTINGS | {"frame_stack": 4}, 15_000, 400, 0.6),
        (POLE, POLE_SETTINGS, 60_000, 100, 100),
    ],
    ids=["cards", "cards of two", "popgym", "maze", "maze of four", "pole"],
)
def test_without_enough_memory_nothing_is_learnt(env, settings, steps, last, most, training_seed):
    if env == POPGYM:
        pytest.importorskip("popgym")
    assert mean_of_last(learn(env, steps, training_seed, **settings), last) < most


def test_a_ball_made_of_pixels_is_caught(training_seed):
    settings = {"gamma": 0.99, "hidden": (64,), "lr": 1e-3, "activation": "relu"}
    returns = learn("memory_worlds:Catch-v0", 20_000, training_seed, **settings)
    assert mean_of_last(returns) > 0.9 > 4 * mean_of_last(returns[:200], 200)
