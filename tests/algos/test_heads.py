# pyright: basic
"""Heads: which action spaces a policy can act in, and how its numbers become actions."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from algos.distributions import (
    BetaValue,
    BinnedValue,
    Categorical,
    Choose,
    Gaussian,
    MultiCategorical,
    head_for,
)
from envs.validation import InputError

CHOICE_AND_VALUE = spaces.Dict(choice=spaces.Discrete(3), value=spaces.Box(-1, 1, ()))


def drawn(space, count=64):
    """Actions of a head with random outputs, and its distribution."""
    head = head_for(space)
    size = head.choices * head.per_choice + head.free
    generator = torch.Generator().manual_seed(0)
    dist = head.dist(2 * torch.randn(count, size, generator=generator))
    action = dist.sample(generator)
    return head.env_action({name: part.numpy() for name, part in action.items()}), dist


def one_of(action, b):
    if isinstance(action, dict):
        return {name: np.asarray(part[b]) for name, part in action.items()}
    return action[b]


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (spaces.Discrete(3), Categorical),
        (spaces.Discrete(3, start=-1), Categorical),
        (spaces.MultiDiscrete([2, 3]), MultiCategorical),
        (spaces.MultiDiscrete([2, 3], start=[5, 1]), MultiCategorical),
        (spaces.Box(-2, 3, (2,)), Gaussian),
        (spaces.Box(np.array([0, -1], np.float32), np.array([1, 5], np.float32)), Gaussian),
        (spaces.Box(-np.inf, np.inf, (2, 2)), Gaussian),
        (spaces.Box(0, np.inf, (1,)), Gaussian),
        (spaces.Box(-1, 1, (1,), np.float64), Gaussian),
        (CHOICE_AND_VALUE, Choose),
    ],
    ids=str,
)
def test_what_a_head_draws_is_an_action_of_the_space(space, kind):
    action, dist = drawn(space)
    assert isinstance(dist, kind)
    assert all(space.contains(one_of(action, b)) for b in range(64))


def test_a_choice_that_does_not_count_from_0_is_shifted_in_a_dict_too():
    space = spaces.Dict(choice=spaces.Discrete(3, start=1), value=spaces.Box(-1, 1, ()))
    action, _ = drawn(space)
    assert set(action["choice"].tolist()) == {1, 2, 3}


def test_discrete_actions_begin_at_the_start_of_their_space():
    assert head_for(spaces.Discrete(3, start=-1)).env_action({"choice": np.arange(3)}).tolist() == [
        -1,
        0,
        1,
    ]
    several = head_for(spaces.MultiDiscrete([2, 3], start=[5, 1]))
    assert several.env_action({"choices": np.array([[0, 0], [1, 2]])}).tolist() == [[5, 1], [6, 3]]


def test_a_bounded_box_is_reached_from_end_to_end_and_not_beyond():
    head = head_for(spaces.Box(np.array([0, -1], np.float32), np.array([1, 5], np.float32)))
    value = np.array([[-1, -1], [0, 0], [1, 1], [-3, 9]])
    # -1 is the low end, 0 the middle, 1 the high end, and what lies outside is clipped.
    assert head.env_action({"value": value}).tolist() == [[0, -1], [0.5, 2], [1, 5], [0, 5]]


def test_an_unbounded_box_takes_values_as_they_are_and_a_half_bounded_one_clips_them():
    value = {"value": np.array([[-3.0], [7.0]])}
    assert head_for(spaces.Box(-np.inf, np.inf, (1,))).env_action(value).tolist() == [[-3], [7]]
    assert head_for(spaces.Box(0, np.inf, (1,))).env_action(value).tolist() == [[0], [7]]


def test_a_box_of_any_shape_keeps_it():
    head = head_for(spaces.Box(-1, 1, (2, 3)))
    assert head.env_action({"value": np.zeros((4, 6))}).shape == (4, 2, 3)


@pytest.mark.parametrize(("value", "kind"), [("bins", BinnedValue), ("beta", BetaValue)])
def test_the_value_of_a_choice_is_drawn_as_the_settings_say(value, kind):
    head = head_for(CHOICE_AND_VALUE, value, bins=7)
    assert head.per_choice == {"bins": 1 + 7, "beta": 1 + 2}[value]
    dist = head.dist(torch.zeros(1, head.choices * head.per_choice))
    assert isinstance(dist, Choose) and dist.value is kind


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Box(0, 5, (2,), np.int64),
        spaces.MultiBinary(3),
        spaces.MultiDiscrete(np.full((2, 2), 2)),
        spaces.Dict(left=spaces.Discrete(2), right=spaces.Discrete(2)),
        spaces.Dict(choice=spaces.Discrete(2), value=spaces.Box(0, 1, ())),
        spaces.Dict(choice=spaces.Discrete(2), value=spaces.Box(-1, 1, (1,))),
        spaces.Tuple([spaces.Discrete(2)]),
    ],
    ids=str,
)
def test_a_space_that_no_policy_can_act_in_is_refused_in_a_sentence(space):
    with pytest.raises(InputError) as refusal:
        head_for(space)
    sentence = str(refusal.value)
    assert sentence.startswith(f"No policy here can act in {space}. Use Discrete")
    assert "wrapper" in sentence
