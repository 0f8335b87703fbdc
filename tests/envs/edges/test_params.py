# pyright: basic
"""The parameters of EdgeSelection: their default family, and combinations that are refused."""

import pytest

from envs.edges.params import Params
from rungwise.validation import InputError


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"objective": "sparsifier", "family": "mesh"}, "take one of weighted_grid, random_graph"),
        ({"family": "mesh", "matrix": "a.mtx"}, "exclude each other"),
        ({"objective": "speed"}, "one of 'multigrid', 'fsai', 'sparsifier'"),
        ({"sizes": (8, 40)}, r"below size=32, which comes last, but they are \[8, 40\]"),
        ({"sizes": (3,)}, "sides from 4 to below"),
        ({"sizes": (8,), "family": "gallery"}, "mean nothing with family='gallery'"),
        ({"sizes": (8,), "matrix": "a.mtx"}, "mean nothing with matrix='a.mtx'"),
        ({"sizes": (8,), "objective": "sparsifier", "action": "edges"}, "take action='latent'"),
    ],
)
def test_contradicting_parameters_are_refused(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        Params(**fields)


def test_the_default_family_depends_on_the_objective():
    assert Params().law == Params(objective="fsai").law == "anisotropic"
    assert Params(objective="sparsifier").law == "weighted_grid"
    assert Params(objective="sparsifier", family="random_graph").law == "random_graph"
