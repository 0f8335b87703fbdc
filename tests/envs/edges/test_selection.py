# pyright: basic
"""From actions to edges: exactly min(k, degree) in each row, never the diagonal."""

import numpy as np
import pytest

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges import instances, selection
from envs.edges.graph import offdiagonal
from envs.edges.multigrid import make_pattern


def a_graph(size=8, family: instances.Family = "anisotropic"):
    key = counter_rng.make_keys(0, 1)
    return offdiagonal(instances.draw_matrix(family, size, key), key)


def counts(chosen, graph):
    return np.bincount(graph.rows[chosen], minlength=graph.matrix.shape[0])


@pytest.mark.parametrize("k", [1, 3, 5, 20])
def test_each_row_selects_exactly_its_share(k):
    # The post-mortem's sampler selected 7,811 of 7,812 edges, whatever the policy said.
    graph = a_graph()
    degree = np.diff(graph.starts)
    picks = np.random.default_rng(0).integers(-1, 500, (len(degree), k))
    for chosen in (
        selection.select_picks(picks, graph.starts),
        selection.strongest(graph.scores[:, 0], graph.starts, k),
    ):
        np.testing.assert_array_equal(counts(chosen, graph), np.minimum(degree, k))
    assert (graph.rows != graph.columns).all()


def test_legal_picks_are_taken_as_they_are():
    starts = np.array([0, 3, 3, 5])
    chosen = selection.select_picks(np.array([[2, 0], [-1, -1], [1, -1]]), starts)
    # Row 2 has two edges and two picks: the second, -1, counts from the end and is taken.
    assert chosen.tolist() == [True, False, True, True, True]


def test_a_taken_pick_gives_way_to_the_next_free():
    chosen = selection.select_picks(np.array([[2, 2, 2]]), np.array([0, 5]))
    assert np.flatnonzero(chosen).tolist() == [2, 3, 4]


def test_what_was_chosen_before_is_not_chosen_again():
    free = np.array([True, False, True, False, True, True])
    starts = np.array([0, 4, 6])
    assert np.flatnonzero(selection.select_picks(np.array([[1], [0]]), starts, free)).tolist() == [
        2,
        4,
    ]
    best = selection.strongest(np.arange(6.0), starts, 5, free)
    np.testing.assert_array_equal(best, free)


def test_the_best_picks_choose_the_strongest():
    graph = a_graph()
    picks = selection.best_picks(graph.scores[:, 2], graph.starts, 3)
    np.testing.assert_array_equal(
        selection.select_picks(picks, graph.starts),
        selection.strongest(graph.scores[:, 2], graph.starts, 3),
    )


def test_the_threshold_goes_from_every_edge_to_the_strongest():
    graph = a_graph()
    shares = [
        selection.strong(graph.scores, np.array([1, -1, -1, -1, t])).mean()
        for t in (-1, -0.5, 0, 0.5, 1)
    ]
    assert shares[0] == 1 and shares == sorted(shares, reverse=True) and shares[-1] < 0.5


def test_each_latent_number_changes_the_choice():
    graph = a_graph(12, "variable")
    start = np.array([0.0, 0.0, 0.0, 0.0, 0.2])
    usual = selection.strong(graph.scores, start)
    for i in range(5):
        moved = start.copy()
        moved[i] = -0.8 if i == 4 else 1.0
        assert (selection.strong(graph.scores, moved) != usual).any(), i


def test_the_pattern_is_symmetric_with_ones_and_diagonal():
    graph = a_graph()
    C = make_pattern(graph, np.random.default_rng(0).random(len(graph.rows)) < 0.2)
    assert (C != C.T).nnz == 0
    assert set(C.data) == {1.0} and (C.diagonal() == 1).all()
