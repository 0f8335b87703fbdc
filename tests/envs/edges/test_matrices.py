# pyright: basic
"""Instances are what their laws say; unsuitable matrices are refused in a sentence."""

import gzip
import shutil

import numpy as np
import pytest
from scipy import io, sparse
from scipy.sparse import csgraph

pytest.importorskip("pyamg")
pytest.importorskip("skfem")
pytest.importorskip("pandapower")

from envs import counter_rng
from envs.edges import fsai, instances, matrices, power
from envs.validation import InputError

FAMILIES: list = ["anisotropic", "variable", "mesh", "gallery", "weighted_grid", "random_graph"]
FAMILIES += ["power_grid"]


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


def test_parts_of_power_grids_are_connected_and_real():
    seen = set()
    for seed in range(6):
        found = power.part(100, counter_rng.make_keys(seed, 1))
        assert found.shape == (100, 100) and (found != found.T).nnz == 0 and found.data.min() > 0
        assert csgraph.connected_components(found)[0] == 1
        seen.add(float(found.sum()))
    assert len(seen) == 6
    whole = power._grid("case300")  # 411 branches, two of them beside another
    assert whole.shape == (300, 300) and whole.nnz // 2 == 409
    with pytest.raises(InputError, match="take a size of at most 96"):
        instances.draw_matrix("power_grid", 97, counter_rng.make_keys(0, 1))


def test_bilinear_elements_of_the_laplacian_match_the_stencil():
    matrix = instances.bilinear_elements(3, np.broadcast_to(np.eye(2), (16, 2, 2)))
    np.testing.assert_allclose(matrix.toarray()[4] * 3, [-1, -1, -1, -1, 8, -1, -1, -1, -1])


@pytest.mark.parametrize("ending", [".mtx", ".mtx.gz", ".npz"])
def test_matrices_are_read_from_files(tmp_path, ending):
    matrix = instances.draw_matrix("variable", 5, counter_rng.make_keys(0, 1))
    path = tmp_path / f"system{ending}"
    if ending == ".npz":
        sparse.save_npz(path, matrix)
    else:
        io.mmwrite(tmp_path / "system.mtx", matrix, precision=17)
        if ending == ".mtx.gz":
            with (tmp_path / "system.mtx").open("rb") as plain, gzip.open(path, "wb") as packed:
                shutil.copyfileobj(plain, packed)
    np.testing.assert_allclose(matrices.load_matrix(str(path)).toarray(), matrix.toarray())


GOOD = np.diag([2.0, 2.0, 2.0]) + np.diag([-1.0, -1.0], 1) + np.diag([-1.0, -1.0], -1)


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        (GOOD[:2], "shape 2 x 3, but a system to be solved is square"),
        (GOOD + 0j, "is complex, but only real"),
        (GOOD + np.diag([0.5, 0], 1), "not symmetric: A and its transpose differ by 2.5e-01"),
        (-GOOD, "not positive definite: the diagonal entry of row 0 is -2"),
        (GOOD - np.diag([1.0, 0, 1.0]), "for some x. It is singular, as a Laplacian is: ground it"),
        (GOOD + np.diag([5.0, 5.0], 1) + np.diag([5.0, 5.0], -1), "It is indefinite, which is not"),
        (GOOD * np.nan, "NaN or infinite"),
        (np.eye(1), "has 1 rows, but from 2 to"),
    ],
)
def test_matrices_that_cannot_be_solved_are_refused(matrix, sentence):
    with pytest.raises(InputError, match=sentence):
        matrices.validate_matrix(sparse.csr_array(matrix))


def test_too_large_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="has 3 rows, but from 2 to 2"):
        matrices.validate_matrix(sparse.csr_array(GOOD), largest=2)
    with pytest.raises(InputError, match="There is no matrix file"):
        matrices.load_matrix(str(tmp_path / "none.mtx"))
    (tmp_path / "system.csv").write_text("1,2")
    with pytest.raises(InputError, match="no matrix file that can be read"):
        matrices.load_matrix(str(tmp_path / "system.csv"))
    for name in ("system.mtx", "system.npz", "system.mtx.gz"):
        (tmp_path / name).write_text("not a matrix")
        with pytest.raises(InputError, match="cannot be read as a matrix"):
            matrices.load_matrix(str(tmp_path / name))
    # Cut off in the middle, as by a full disk.
    sparse.save_npz(tmp_path / "cut.npz", sparse.csr_array(GOOD))
    io.mmwrite(tmp_path / "cut.mtx", sparse.coo_array(np.eye(50)))
    for name in ("cut.npz", "cut.mtx"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match="cannot be read as a matrix"):
            matrices.load_matrix(str(tmp_path / name))


def test_the_bound_on_pairs_within_two_is_exact_on_grids():
    for family in ("anisotropic", "variable", "weighted_grid"):
        key = counter_rng.make_keys(0, 1)
        graph = fsai.candidates(instances.draw_matrix(family, 9, key), key)
        assert len(graph.rows) == instances.pairs_within_two(family, 9)
    assert instances.pairs_within_two("anisotropic", 32) == 11_346
    for family in ("mesh", "random_graph", "power_grid"):
        for seed in range(6):
            key = counter_rng.make_keys(seed, 1)
            graph = fsai.candidates(instances.draw_matrix(family, 9, key), key)
            assert len(graph.rows) <= instances.pairs_within_two(family, 9)
