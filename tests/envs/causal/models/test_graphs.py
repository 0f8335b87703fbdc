# pyright: basic
"""Random graphs: what their names say, and that they have no cycle."""

import numpy as np
import pytest
from causal_drawn import KEYS, visible

from envs.causal.models.families import draw_family
from envs.causal.models.graphs import DECOYS, GRAPHS


def test_random_models_have_two_roots_and_at_most_three_parents():
    parents, real = visible("random")
    counts = parents.sum(axis=2)[real]
    assert set(counts) == {0, 1, 2, 3}
    assert ((~parents.any(axis=2) & real).sum(axis=1) >= 2).all()


def test_graphs_are_what_their_names_say():
    for family, in_degrees, out_degrees in [
        ("chain", [0, 1, 1, 1], [0, 1, 1, 1]),
        ("fork", [0, 1, 1, 1], [0, 0, 0, 3]),
        ("collider", [0, 0, 0, 3], [0, 1, 1, 1]),
    ]:
        parents = draw_family(family, KEYS, 4, 4).scm.parents
        assert (np.sort(parents.sum(axis=2), axis=1) == in_degrees).all()
        assert (np.sort(parents.sum(axis=1), axis=1) == out_degrees).all()
    edges = draw_family("erdos_renyi", KEYS, 8, 8).scm.parents.sum(axis=(1, 2))
    assert 7.5 < edges.mean() < 9.5
    parents = draw_family("scale_free", KEYS, 8, 8).scm.parents
    assert set(parents.sum(axis=2).ravel()) == {0, 1, 2}
    neighbours = (parents.sum(axis=1) + parents.sum(axis=2)).max(axis=1).mean()
    assert (
        neighbours > (draw_family("random", KEYS, 8, 8).scm.parents.sum(axis=1)).max(axis=1).mean()
    )


@pytest.mark.parametrize("kind", GRAPHS.values(), ids=list(GRAPHS))
def test_inputs_list_the_parents_that_are_no_fillers(kind):
    keys, sizes, n = KEYS[:40], 4 + np.arange(40) % 4, 8
    parents, edges = kind.parents(keys, sizes, n), kind.draw(keys, sizes, n)
    assert edges.inputs.shape[2] == (kind.width or n - 1)
    np.testing.assert_array_equal(edges.real.sum(axis=1), sizes)
    for copy, size in enumerate(sizes):
        for node in range(n):
            listed = edges.inputs[copy, node][edges.exist[copy, node]].tolist()
            expected = np.flatnonzero(parents[copy, node]).tolist() if node < size else []
            assert listed == expected
            assert all(parent < node for parent in listed)  # so there is no cycle
            assert edges.effects[copy, node] == bool(expected)
            assert not edges.inputs[copy, node][~edges.exist[copy, node]].any()


def test_decoys_are_children_of_the_node_before_them_alone():
    edges = DECOYS.draw(KEYS[:20], np.full(20, 8), 8)
    # The last quarter of eight nodes are 6 and 7; node 5 is before them.
    assert (edges.inputs[:, 6:, 0] == 5).all() and (edges.exist[:, 6:].sum(axis=2) == 1).all()
