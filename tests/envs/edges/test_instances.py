# pyright: basic
"""The families of matrices: what their laws say, and the bounds on their size."""

import numpy as np
import pytest

pytest.importorskip("skfem")
pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges import fsai, instances, matrices

FAMILIES: list = ["anisotropic", "variable", "mesh", "gallery", "weighted_grid", "random_graph"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_draws_matrices_that_solvers_can_take(family):
    nodes, entries = instances.capacity(family, 8)
    for seed in range(4):
        matrix = instances.draw_matrix(family, 8, counter_rng.make_keys(seed, 1))
        assert matrices.validate_matrix(matrix).shape[0] <= nodes
        assert matrix.nnz - matrix.shape[0] <= entries
        assert np.linalg.eigvalsh(matrix.toarray())[0] > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_key_draws_the_same_matrix(family):
    one, two = (instances.draw_matrix(family, 8, counter_rng.make_keys(5, 1)) for _ in range(2))
    np.testing.assert_array_equal(one.data, two.data)
    np.testing.assert_array_equal(one.indices, two.indices)


def test_the_post_mortems_law_is_drawn_from():
    drawn = np.array([instances.anisotropy(counter_rng.make_keys(seed, 1)) for seed in range(400)])
    assert (drawn[:, 1] >= 0.001).all() and (drawn[:, 1] <= 0.5).all()
    assert np.median(drawn[:, 1]) == pytest.approx(np.sqrt(0.001 * 0.5), rel=0.3)
    assert drawn[:, 0].max() > 6 and drawn[:, 0].min() < 0.3
    matrix = instances.draw_matrix("anisotropic", 32, counter_rng.make_keys(0, 1))
    assert matrix.shape == (1024, 1024) and matrix.nnz == 8836


def test_bilinear_elements_of_the_laplacian_match_the_stencil():
    matrix = instances.bilinear_elements(3, np.broadcast_to(np.eye(2), (16, 2, 2)))
    np.testing.assert_allclose(matrix.toarray()[4] * 3, [-1, -1, -1, -1, 8, -1, -1, -1, -1])


def test_the_bound_on_pairs_within_two_is_exact_on_grids():
    for family in ("anisotropic", "variable", "weighted_grid"):
        key = counter_rng.make_keys(0, 1)
        graph = fsai.candidates(instances.draw_matrix(family, 9, key), key)
        assert len(graph.rows) == instances.pairs_within_two(family, 9)
    assert instances.pairs_within_two("anisotropic", 32) == 11_346
    for family in ("mesh", "random_graph"):
        for seed in range(6):
            key = counter_rng.make_keys(seed, 1)
            graph = fsai.candidates(instances.draw_matrix(family, 9, key), key)
            assert len(graph.rows) <= instances.pairs_within_two(family, 9)
