# pyright: basic
"""Stacks of observations: newest last, filled with the first one, forgotten with the episode."""

import gymnasium
import numpy as np
import pytest
import small
import torch
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation

from algos.models.base import MASK, get_column_spaces, stack_spaces
from algos.models.frame_stack import FILLED, FrameStack

MIXED = spaces.Dict(
    image=spaces.Box(0, 255, (9, 8, 3), np.uint8),
    kind=spaces.Discrete(4, start=2),
    pair=spaces.MultiDiscrete([2, 3]),
    mask=spaces.MultiBinary(3),
)


def test_the_first_observation_fills_the_stack_and_the_newest_is_last():
    stack = FrameStack({"obs": spaces.Box(0, 9, (1,), np.int64)}, 3)
    state = {FILLED: np.zeros(2, bool), "state.obs": np.zeros((2, 2, 1), np.int64)}
    for t, expected in enumerate([[5, 5, 5], [5, 5, 6], [5, 6, 7], [6, 7, 8]]):
        seen, state = stack.push({"obs": np.full((2, 1), 5 + t)}, state)
        assert seen["obs"][0, :, 0].tolist() == seen["obs"][1, :, 0].tolist() == expected
    # The first copy's episode starts, the other's continues.
    state = {
        name: column * np.array([0, 1]).reshape(-1, *(1,) * (column.ndim - 1)) != 0
        if name == FILLED
        else column
        for name, column in state.items()
    }
    seen, _ = stack.push({"obs": np.full((2, 1), 1)}, state)
    assert seen["obs"][:, :, 0].tolist() == [[1, 1, 1], [7, 8, 1]]


def test_a_stack_is_that_of_gymnasiums_wrapper():
    wrapped = FrameStackObservation(gymnasium.make("CartPole-v1"), 4, padding_type="reset")
    plain = gymnasium.make("CartPole-v1")
    policy = small.module(plain.observation_space, spaces.Discrete(2), frame_stack=4)
    (expected, _), (observation, _) = wrapped.reset(seed=3), plain.reset(seed=3)
    state = policy.initial_state(1)
    for t in range(9):
        seen, state = policy.recall({"obs": observation[None]}, state)
        np.testing.assert_array_equal(seen["obs"][0], expected)
        expected, observation = (env.step(t % 2)[0] for env in (wrapped, plain))


def test_numbers_and_tensors_are_stacked_alike():
    policy = small.module(MIXED, spaces.Discrete(3), frame_stack=2)
    MIXED.seed(0)
    sampled = [MIXED.sample() for _ in range(2)]
    columns = {f"obs.{n}": np.stack([one[n] for one in sampled]) for n in sampled[0]}
    state = policy.initial_state(2) | {FILLED: np.array([True, False])}
    arrays = policy.recall(columns, state)
    tensors = policy.recall(
        *({n: torch.from_numpy(np.array(c)) for n, c in part.items()} for part in (columns, state))
    )
    for found, expected in zip(tensors, arrays, strict=True):
        assert found.keys() == expected.keys()
        for name, column in expected.items():
            np.testing.assert_array_equal(found[name].numpy(), column)


def test_every_part_but_the_mask_is_stacked_in_its_space():
    policy = small.module(MIXED, spaces.Discrete(3), frame_stack=3)
    spaces_of = policy.observation_spaces
    assert spaces_of[MASK].shape == (3,) and spaces_of["obs.image"].shape == (3, 9, 8, 3)
    assert spaces_of["obs.kind"].start.tolist() == [2, 2, 2]
    assert "state.obs.mask" not in policy.state_layout
    MIXED.seed(0)
    one = {f"obs.{n}": np.asarray(part)[None] for n, part in MIXED.sample().items()}
    seen, _ = policy.recall(one, policy.initial_state(1))
    for name, space in spaces_of.items():
        assert space.contains(seen[name][0].astype(space.dtype)), name
    assert stack_spaces(get_column_spaces(MIXED), 1) == get_column_spaces(MIXED)


@pytest.mark.parametrize("space", [spaces.Box(-1, 1, (4,)), spaces.Discrete(5), MIXED])
def test_without_a_stack_nothing_is_remembered(space):
    policy = small.module(space, spaces.Discrete(3))
    assert policy.initial_state(4) == {} and policy.recall({"obs": 1}, {}) == ({"obs": 1}, {})
