# pyright: basic
"""The parameters of CausalOptimisation: combinations that are refused."""

import pytest

from envs.causal.optimisation.params import Params
from rungwise.validation import InputError


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"precision": 33}, "must be even, but it is 33"),
        ({"scm": "toy_graph", "pool": "models/"}, "scm is the single model 'toy_graph': choose a"),
        ({"pool_fraction": 0.0}, r"pool_fraction must be in \(0, 1\], but it is 0"),
        ({"target": "X1"}, "each model of the family 'hard' draws its own: leave"),
        ({"curriculum": True, "target": "X1"}, "each model of a curriculum draws its own: leave"),
    ],
)
def test_contradicting_parameters_are_refused(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        Params(**fields)


def test_a_target_is_for_one_model_or_a_pool():
    assert Params(scm="toy_graph", target="Y").target == "Y"
    assert Params(pool="models/", target="Y").pool == "models/"
    assert Params(scm="toy_graph", curriculum=True, pool="models/").curriculum
