# pyright: basic
"""The drawn graph of an episode trace, and its table cells."""

import numpy as np
import pytest

from envs.causal.graph_drawing import DrawnGraph, format_figure, format_setting

# A -> C -> D, and B is no node of the drawn model.
PARENTS = np.zeros((4, 4), bool)
PARENTS[2, 0] = PARENTS[3, 2] = True
REAL = np.array([True, False, True, True])


def test_fillers_are_left_out_and_edges_renumbered():
    drawn = DrawnGraph(["A", "B", "C", "D"], PARENTS, REAL)
    assert drawn.names == ["A", "C", "D"]
    assert drawn.edges == [[0, 1], [1, 2]]
    assert drawn.find_edges_into([1]) == [0] and drawn.find_edges_into([0]) == []


def test_hidden_nodes_come_after_the_names_and_are_left_out():
    assert DrawnGraph(["A", "B", "C"], PARENTS, REAL).edges == [[0, 1]]


def test_an_action_is_located_in_the_domain_of_its_node():
    drawn = DrawnGraph(["A", "B", "C", "D"], PARENTS, REAL)
    low, high = np.array([[0.0, 0.0, -1.0, 2.0]]), np.array([[1.0, 0.0, 1.0, 4.0]])
    action = {"choice": np.array([3]), "value": np.array([0.5])}
    assert drawn.locate_action(action, REAL, low, high) == ([2], 3.5)
    assert drawn.locate_action(action, ~REAL, low, high) == ([], 3.5)
    beyond = {"choice": np.array([2]), "value": np.array([-7.0])}
    assert drawn.locate_action(beyond, REAL, low, high) == ([1], -1.0)
    assert format_setting(drawn, [2], 3.5) == ["D", "3.5"]
    assert format_setting(drawn, [], 3.5) == ["nothing", ""]


@pytest.mark.parametrize(
    ("number", "text"), [(0.07123, "0.0712"), (12.34, "12.3"), (-1e-9, "0"), (1234.5, "1.23e+03")]
)
def test_figures_have_three_digits_and_no_rounding_dust(number, text):
    assert format_figure(number) == text
