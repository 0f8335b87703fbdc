# pyright: basic
"""Linear-Gaussian networks: as saved by pgmpy, and their optimum in closed form."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from causal_files import MODELS, rows, target_mean

from envs.causal.models import named
from envs.causal.models.gaussian import best_setting, expected_values, total_effects
from envs.causal.models.scm import from_terms


def test_a_linear_gaussian_network_is_read_as_pgmpy_saves_it():
    model = named.load_model(str(MODELS / "regulation.json"))
    assert model.target == "C"
    (A, B, C), e = rows(model)
    np.testing.assert_allclose(A, 1 + 2 * e[0])
    np.testing.assert_allclose(B, 0.5 + 2 * A + e[1])
    np.testing.assert_allclose(C, A - B + 0.5 * e[2])
    # A has mean 1 and standard deviation 2; B has mean 2.5 and variance 4 * 4 + 1.
    np.testing.assert_allclose(model.scm.low[0, :2], [1 - 4, 2.5 - 2 * 17**0.5])


@pytest.mark.parametrize(
    ("name", "nodes", "edges"),
    [("ecoli70", 46, 70), ("magic-niab", 44, 66), ("magic-irri", 64, 102), ("arth150", 107, 150)],
)
def test_linear_gaussian_networks_come_with_their_optimum(name, nodes, edges):
    pytest.importorskip("pgmpy")
    model, optimum = named.load_model(name), named.find_optimum(name)
    assert optimum is not None
    assert len(model.names) == nodes and model.scm.parents.sum() == edges
    assert target_mean(model, optimum.setting, 20_000) == pytest.approx(optimum.value, abs=0.03)


def test_the_best_setting_worked_out_by_hand():
    # X -> Z -> Y and X -> Y: Y = 2 Z - X + 1, Z = 3 X, so that do(X) moves Y by 5 per unit.
    model = from_terms(
        terms={
            "X": {},
            "Z": {("X", "linear"): 3.0},
            "Y": {("Z", "linear"): 2.0, ("X", "linear"): -1},
        },
        offset={"X": 1.0, "Y": 1.0},
        noise={"X": 1.0, "Z": 1.0, "Y": 1.0},
        domain=(-2.0, 4.0),
    ).with_target("Y")
    scm: Any = model.scm
    np.testing.assert_allclose(total_effects(scm), [[1, 0, 0], [3, 1, 0], [5, 2, 1]], atol=1e-12)
    np.testing.assert_allclose(expected_values(scm), [1, 3, 6])
    # do(X = -2) gives 5 * -2 + 1 = -9; do(Z = -2) leaves X at its mean: 2 * -2 - 1 + 1 = -4.
    found = best_setting(model)
    assert (found.value, found.setting) == (pytest.approx(-9), {"X": -2.0})
    found = best_setting(dataclasses.replace(model, settable=(False, True, False)))
    assert (found.value, found.setting) == (pytest.approx(-4), {"Z": -2.0})
