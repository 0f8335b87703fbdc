# pyright: basic
"""The parameters of CausalLearning: combinations that cannot be learnt."""

import pytest
from causal_families import world

from envs.causal.learning.params import Params
from rungwise.validation import InputError


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"student": "mlp"}, "learns one model only, but scm is the family 'random'"),
        ({"scm": "hard"}, "'hard' has hidden nodes"),
        ({"smallest": 9}, r"smallest must be at most largest \(8\), but it is 9"),
        ({"cap": 1.5}, r"cap must be"),
        ({"scm": "randon"}, "no model or family 'randon'"),
    ],
)
def test_what_cannot_be_learnt_is_refused_in_a_sentence(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        world(**fields)


def test_the_slow_student_cannot_learn_for_every_graph():
    with pytest.raises(InputError, match="'mlp' learns one model only, but like_family is set"):
        Params(student="mlp", like_family=True)
