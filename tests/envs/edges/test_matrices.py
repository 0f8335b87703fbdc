# pyright: basic
"""Instances are what their laws say; unsuitable matrices are refused in a sentence."""

import gzip
import shutil

import numpy as np
import pytest
from scipy import io, sparse

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges import instances, matrices
from rungwise.validation import InputError


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
