# pyright: basic
"""The structural causal model: its equations, interventions, and what it refuses."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from envs.causal.models import named, scm
from envs.contract import counter_rng
from envs.contract.pytree import take
from rungwise.validation import InputError

NAMES = named.ace5().names
MODEL = named.ace5().scm


def rows(count, chosen=(), value=0.0):
    noise = counter_rng.normal(counter_rng.make_keys(0, 1), (count, 5)).astype(float)
    mask = np.isin(NAMES, chosen)[None]
    return MODEL.sample(noise, mask, np.where(mask, value, 0.0))[0], noise[0]


def test_rows_follow_the_equations_of_the_post_mortem():
    x, e = rows(200)
    np.testing.assert_allclose(x[:, 0], e[:, 0])
    np.testing.assert_allclose(x[:, 1], 2 * x[:, 0] + 1 + 0.1 * e[:, 1])
    expected = 0.5 * x[:, 0] - x[:, 1] + np.sin(x[:, 1]) + 0.1 * e[:, 2]
    np.testing.assert_allclose(x[:, 2], expected)
    np.testing.assert_allclose(x[:, 3], 2 + e[:, 3])
    np.testing.assert_allclose(x[:, 4], 0.2 * x[:, 3] ** 2 + 0.1 * e[:, 4])


def test_an_intervention_changes_what_follows_and_nothing_before():
    natural, _ = rows(50)
    x, e = rows(50, chosen=["X2"], value=3.0)
    assert (x[:, 1] == 3).all()
    np.testing.assert_array_equal(x[:, [0, 3, 4]], natural[:, [0, 3, 4]])
    np.testing.assert_allclose(x[:, 2], 0.5 * x[:, 0] - 3 + np.sin(3) + 0.1 * e[:, 2])


def test_the_parents_of_each_node_are_those_of_the_graph():
    found = {
        name: [NAMES[i] for i in np.flatnonzero(row)]
        for name, row in zip(NAMES, MODEL.parents[0], strict=True)
    }
    assert found == {"X1": [], "X2": ["X1"], "X3": ["X1", "X2"], "X4": [], "X5": ["X4"]}


def test_each_copy_may_have_coefficients_of_its_own():
    two = take(MODEL, np.array([0, 0]))
    assert isinstance(two, scm.AdditiveScm)
    two = dataclasses.replace(two, weights=two.weights * np.array([1, 2])[:, None, None, None])
    x = np.ones((2, 1, 5))
    np.testing.assert_allclose(two.mechanism(np.array([1, 1]), x), [[3.0], [5.0]])


def test_copies_with_nodes_in_another_order_are_the_same_models():
    """Renumbering the nodes of a copy renumbers its rows and changes nothing else."""
    place = np.array([[0, 1, 2, 3, 4], [3, 0, 4, 2, 1]])  # place[c, j]: where node j now is
    two = renumbered(take(MODEL, np.array([0, 0])), place)
    noise = counter_rng.normal(counter_rng.make_keys(0, 1), (20, 5)).astype(float)
    one = MODEL.sample(noise, np.zeros((1, 5), bool), np.zeros((1, 5)))[0]
    own = np.stack([noise[0][:, np.argsort(p)] for p in place])
    found = two.sample(own, np.zeros((2, 5), bool), np.zeros((2, 5)))
    np.testing.assert_allclose(found[0], one)
    np.testing.assert_allclose(found[1], one[:, np.argsort(place[1])])
    assert (two.parents[1][np.ix_(place[1], place[1])] == MODEL.parents[0]).all()


def renumbered(model, place):
    back = np.argsort(place, axis=1)

    def moved(x):
        return np.stack([x[c, back[c]] for c in range(len(x))])

    fields = {f.name: moved(getattr(model, f.name)) for f in dataclasses.fields(model)}
    fields["inputs"] = np.stack([place[c][fields["inputs"][c]] for c in range(len(place))])
    fields["order"] = np.stack([place[c][model.order[c]] for c in range(len(place))])
    return scm.AdditiveScm(**fields)


def test_positions_are_mapped_to_the_domain():
    position = np.array([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(MODEL.domain_value(np.array([0, 1, 4]), position), [-5, 0, 5])


def test_a_cycle_is_refused_with_the_names_of_its_nodes():
    with pytest.raises(InputError, match=r"cycle, (A -> B -> A|B -> A -> B)"):
        scm.from_terms(
            {"A": {("B", "linear"): 1.0}, "B": {("A", "linear"): 1.0}},
            offset={},
            noise={"A": 1.0, "B": 1.0},
            domain=(-1, 1),
        )


def test_each_copy_sets_values_in_its_own_domain():
    two: Any = take(MODEL, np.array([0, 0]))
    own = np.array([[1.0], [3.0]])
    two = dataclasses.replace(two, low=two.low * own, high=two.high * own + 1)
    found = two.domain_value(np.array([1, 4]), np.array([-1.0, -1.0]))
    np.testing.assert_allclose(found, [-5, -15])
    np.testing.assert_allclose(two.domain_value(np.array([1, 4]), np.ones(2)), [6, 16])
