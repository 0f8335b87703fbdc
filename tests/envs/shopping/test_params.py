# pyright: basic
"""The parameters of Shopping: the part that decides the store."""

import pytest

from envs.shopping.params import Params
from envs.shopping.store import Source
from rungwise.validation import InputError


def test_the_source_has_the_fields_of_the_store_alone():
    params = Params(seed=3, split="test", goals=7, episode_limit=4, shaping=0.5)
    assert params.source == Source(seed=3, split="test", goals=7)
    assert type(params.source) is Source


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"episode_limit": 101}, r"episode_limit must be in \[1, 100\]"),
        ({"discount": 1.5}, r"discount must be in \[0, 1\]"),
        ({"text": "pixels"}, "one of 'tokens', 'ids', 'language'"),
        ({"vocabulary": 40_000}, r"vocabulary must be in \[256, 32768\]"),
    ],
)
def test_parameters_out_of_range_are_refused(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        Params(**fields)
