# pyright: basic
"""Sparsifiers: their tree, effective resistances, and batches of edges that do not overlap."""

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges import instances, sparsifier
from rungwise.validation import InputError

KEY = counter_rng.make_keys(0, 1)


def test_the_tree_spans_and_is_the_heaviest():
    graph = sparsifier.candidates(instances.draw_matrix("weighted_grid", 5, KEY), KEY)
    tree = sparsifier.spanning_tree(graph)
    assert tree.sum() == 24
    networkx = pytest.importorskip("networkx")
    other = networkx.Graph()
    for i, j, a in zip(graph.rows, graph.columns, graph.values, strict=True):
        other.add_edge(int(i), int(j), weight=-a)
    heaviest = networkx.maximum_spanning_tree(other).size(weight="weight")
    assert -graph.values[tree].sum() == pytest.approx(heaviest)


def test_a_sparsifier_of_every_edge_is_the_matrix():
    graph = sparsifier.candidates(instances.draw_matrix("random_graph", 5, KEY), KEY)
    every = np.ones(len(graph.rows), np.bool_)
    gap = sparsifier.laplacian(graph, every) - graph.matrix
    assert abs(gap).max() < 1e-12


def test_projections_estimate_effective_resistance():
    graph = sparsifier.candidates(instances.draw_matrix("weighted_grid", 8, KEY), KEY)
    tree = sparsifier.spanning_tree(graph)
    found = (sparsifier.Factor(graph, tree).sketch() ** 2).mean(axis=1)
    inverse = np.linalg.inv(sparsifier.laplacian(graph, tree).toarray())
    own = inverse.diagonal()
    exact = own[graph.rows] + own[graph.columns] - 2 * inverse[graph.rows, graph.columns]
    ratio = found / exact
    assert 0.9 < ratio.mean() < 1.1 and ratio.std() < 0.3


def naive_spread(priority, sketch, k, limit, free):
    """The best open edge, again and again; each closes whatever it overlaps with."""
    unit = sketch / np.linalg.norm(sketch, axis=1, keepdims=True)
    chosen, open_ = np.zeros_like(free), free.copy()
    for _ in range(min(k, free.sum())):
        if not open_.any():
            open_ = free & ~chosen
        edge = int(np.where(open_, priority, -np.inf).argmax())
        chosen[edge] = True
        open_ &= (unit @ unit[edge]) ** 2 <= limit
        open_[edge] = False
    return chosen


def test_a_batch_equals_a_greedy_choice_of_edges():
    rng = np.random.default_rng(0)
    for _ in range(100):
        edges = int(rng.integers(5, 80))
        priority, free = rng.integers(0, 9, edges) / 3, rng.random(edges) < 0.8
        given = priority, rng.normal(size=(edges, 4)), int(rng.integers(1, edges + 9)), 0.3, free
        np.testing.assert_array_equal(sparsifier.spread(*given), naive_spread(*given))


def test_spread_edges_do_not_overlap_while_others_are_left():
    sketch = np.array([[1.0, 0], [1.0, 0.1], [0, 1.0], [1.0, 0]])
    free = np.ones(4, np.bool_)
    priority = np.array([4.0, 3.0, 1.0, 2.0])
    chosen = [
        np.flatnonzero(sparsifier.spread(priority, sketch, k, limit, free)).tolist()
        for k, limit in ((2, 1.0), (2, 0.5), (3, 0.5))
    ]
    assert chosen == [[0, 1], [0, 2], [0, 1, 2]]


def test_a_sparsifier_needs_a_laplacian():
    matrix = instances.canonical(sparse.csr_array(np.eye(3) * 3 + 0.5))
    with pytest.raises(InputError, match="off-diagonal entries are positive"):
        sparsifier.candidates(matrix, KEY)
