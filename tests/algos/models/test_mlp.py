# pyright: basic
"""The perceptron: the widths, names and inputs of its layers."""

from itertools import pairwise

import pytest
import small
from gymnasium import spaces

from algos.models.base import get_column_spaces
from algos.models.mlp import ObservationFlattener
from rungwise.validation import InputError

FLAT = spaces.Box(-1, 1, (3,))


def critic_size(*widths):
    """Weights and biases of a perceptron with these widths."""
    return sum((before + 1) * width for before, width in pairwise(widths))


@pytest.mark.parametrize("value_hidden", [(16,), (5,), (32, 8), (7, 3, 2)])
def test_the_critic_has_the_widths_of_value_hidden(value_hidden):
    policy = small.module(FLAT, spaces.Discrete(2), value_hidden=value_hidden)
    found = sum(weight.size for weight in policy.get_state().values())
    assert found == critic_size(3, 16, 2) + critic_size(3, *value_hidden, 1)


def test_weights_are_named_after_their_layers():
    policy = small.module(FLAT, spaces.Discrete(2), hidden=(8, 6), value_hidden=(5, 4, 3))
    assert {name: weight.shape for name, weight in policy.get_state().items()} == {
        "first.weight": (3, 8 + 5),
        "first.bias": (8 + 5,),
        "policy.hidden1.weight": (8, 6),
        "critic.hidden1.weight": (5, 4),
        "hidden1.bias": (6 + 4,),
        "critic.hidden2.weight": (4, 3),
        "hidden2.bias": (3,),
        "policy.weight": (6, 2),
        "policy.bias": (2,),
        "critic.weight": (3, 1),
        "critic.bias": (1,),
    }


@pytest.mark.parametrize(
    ("observation", "action", "changed"),
    [
        (spaces.Discrete(3), spaces.Discrete(2), {}),
        (FLAT, spaces.Box(-1, 1, (2,)), {}),
        (FLAT, spaces.Discrete(2), {"temperature": 2.0}),
    ],
    ids=["one-hot", "Box", "temperature"],
)
def test_what_numpy_has_no_lines_for_is_left_to_torch(observation, action, changed):
    assert not small.module(observation, action, **changed).acts_on_numpy


def test_the_mask_is_not_an_input_of_the_perceptron():
    space = spaces.Dict(x=FLAT, mask=spaces.MultiBinary(4))
    assert ObservationFlattener(get_column_spaces(space)).size == 3


def test_widths_that_cannot_be_are_refused_in_a_sentence():
    for widths in ((0,), (8, -1)):
        with pytest.raises(
            InputError, match=r"value_hidden must hold widths of at least 1.*but it"
        ):
            small.settings(value_hidden=widths)
