# pyright: basic
"""The graph of a matrix: the scores of its edges, their summary, and padding."""

import numpy as np
import pytest

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges import instances
from envs.edges.graph import offdiagonal, pad_graph, strength, summary


def a_graph(size=8, family: instances.Family = "anisotropic"):
    key = counter_rng.make_keys(0, 1)
    return offdiagonal(instances.draw_matrix(family, size, key), key)


def test_scores_have_no_scale():
    key = counter_rng.make_keys(0, 1)
    matrix = instances.draw_matrix("anisotropic", 8, key)
    np.testing.assert_allclose(
        offdiagonal(matrix, key).scores, offdiagonal(1e6 * matrix, key).scores, atol=1e-9
    )


def test_features_keep_their_size_when_a_grid_is_refined():
    means = []
    for size in (16, 48):
        key = counter_rng.make_keys(1, 1)
        graph = offdiagonal(instances.anisotropic(size, 0.5, 0.01), key)
        means.append(summary(graph.scores, graph))
    np.testing.assert_allclose(*means, atol=0.25)


def test_a_score_compares_with_the_strongest_of_both_rows():
    rows, columns = np.array([0, 1, 1, 2]), np.array([1, 0, 2, 1])
    found = strength(np.array([4.0, 4.0, 1.0, 1.0]), rows, columns, 3)
    # Row 2's own strongest is 1, row 1's is 4: 1 / sqrt(4 * 1).
    np.testing.assert_allclose(found, [0, 0, np.log(0.5) / np.log(1e3), np.log(0.5) / np.log(1e3)])


def test_padding_is_masked_and_leaves_the_rest_alone():
    graph = a_graph(6)
    kept = np.zeros(len(graph.rows), np.bool_)
    small = pad_graph(graph, graph.scores, kept, 36, len(kept))
    large = pad_graph(graph, graph.scores, kept, 50, 400)
    E = len(kept)
    assert large["node_mask"].sum() == 36 and large["edge_mask"].sum() == E
    np.testing.assert_array_equal(large["edges"][:, :E], small["edges"])
    np.testing.assert_array_equal(large["edge_features"][:E], small["edge_features"])
    assert not large["edge_features"][E:].any() and not large["nodes"][36:].any()


def test_edges_that_are_kept_are_seen_and_not_legal_any_more():
    graph = a_graph(6)
    kept = np.arange(len(graph.rows)) % 3 == 0
    found = pad_graph(graph, graph.scores, kept, 36, len(kept) + 5)
    assert found["legal"].tolist() == [*(~kept).tolist(), *[0] * 5]
    assert found["edge_mask"].sum() == len(kept)
