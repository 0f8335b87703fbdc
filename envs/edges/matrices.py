"""Users' own matrices: ``.mtx``, ``.mtx.gz`` and ``.npz``, checked before use."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from scipy import io, sparse

from envs.edges.instances import Matrix, canonical
from rungwise.validation import InputError

LARGEST = 1_000_000
"""Nodes that a matrix may have."""
_SYMMETRIC = 1e-10
_PROBES = 30
_UNREADABLE = (
    ValueError,
    TypeError,
    OSError,
    EOFError,
    KeyError,
    StopIteration,
    BadZipFile,
    zlib.error,
)


def load_matrix(path: str, largest: int = LARGEST) -> Matrix:
    """Load a matrix from a Matrix Market file or from ``scipy.sparse.save_npz``.

    Raises:
        InputError: no such file, another format, or a matrix that :func:`validate_matrix` refuses.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"There is no matrix file {path!r}: give the path of a .mtx or .npz file.")
    name = file.name.lower()
    try:
        if name.endswith((".mtx", ".mtx.gz")):
            matrix: Any = io.mmread(file)
        elif name.endswith(".npz"):
            matrix = sparse.load_npz(file)
        else:
            raise InputError(
                f"{path} is no matrix file that can be read here: save it as .mtx or .mtx.gz "
                "(scipy.io.mmwrite) or as .npz (scipy.sparse.save_npz)."
            )
    except _UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} cannot be read as a matrix ({error}): save it again with scipy.io.mmwrite "
            "(.mtx) or scipy.sparse.save_npz (.npz)."
        ) from error
    return validate_matrix(matrix, path, largest)


def validate_matrix(matrix: Any, name: str = "The matrix", largest: int = LARGEST) -> Matrix:
    """Check that a matrix is symmetric positive definite; return it in canonical form.

    Definiteness is probed, not proven: the diagonal must be positive and no step of conjugate
    gradients may meet a direction of negative curvature.

    Raises:
        InputError: it is not square, complex, too large, not finite, not symmetric or not definite.
    """
    shape, dtype = np.shape(matrix), matrix.dtype
    if len(shape) != 2 or shape[0] != shape[1]:
        raise InputError(
            f"{name} has shape {' x '.join(map(str, shape))}, but a system to be solved is square: "
            "give the normal equations A^T A if it is a least-squares problem."
        )
    if np.issubdtype(dtype, np.complexfloating):
        raise InputError(
            f"{name} is complex, but only real matrices are solved here: give the "
            "real form [[Re, -Im], [Im, Re]] if that is positive definite."
        )
    if not 2 <= shape[0] <= largest:
        raise InputError(
            f"{name} has {shape[0]} rows, but from 2 to {largest} can be worked on: "
            "give a smaller problem of the same kind; policies work at any size."
        )
    csr = canonical(matrix)
    if not np.isfinite(csr.data).all():
        raise InputError(f"{name} has entries that are NaN or infinite: mend its assembly.")
    # Relative to the largest entry: the scale of a user's matrix is arbitrary.
    gap = np.abs(csr - csr.T).max() / max(np.abs(csr).max(), 1e-300)
    if gap > _SYMMETRIC:
        raise InputError(
            f"{name} is not symmetric: A and its transpose differ by {gap:.1e} of the largest "
            "entry. Give the symmetric part (A + A^T) / 2 if that is what you mean."
        )
    if (bad := np.flatnonzero(csr.diagonal() <= 0)).size:
        raise InputError(
            f"{name} is not positive definite: the diagonal entry of row {bad[0]} is "
            f"{csr.diagonal()[bad[0]]:g}. Change the sign of A if all are negative."
        )
    # Last, because it is the only check that multiplies by the matrix many times.
    curvature = lowest_curvature(csr)
    if curvature <= 1e-14:
        kind, remedy = (
            ("indefinite", "which is not solved here: give a shifted or a definite form of it.")
            if curvature < -1e-14
            else ("singular", "as a Laplacian is: ground it (add to one entry of the diagonal).")
        )
        raise InputError(
            f"{name} is not positive definite: x^T A x / x^T D x is {curvature:.1e} for some x. It "
            f"is {kind}, {remedy}"
        )
    return csr


def lowest_curvature(matrix: Matrix) -> float:
    """Return the lowest p^T A p / p^T D p, D the diagonal, in some steps of conjugate gradients.

    The first direction is the vector of ones, which singular Laplacians map to zero; the others
    come from a random right-hand side.
    """
    scale = matrix.diagonal()
    p = np.ones(len(scale))
    lowest = float(p @ (matrix @ p) / (p @ (scale * p)))
    r = np.random.default_rng(0).standard_normal(len(scale))
    z = r / scale
    p, rz = z, float(r @ z)
    for _ in range(min(_PROBES, len(scale))):
        Ap = matrix @ p
        curvature = float(p @ Ap)
        lowest = min(lowest, curvature / float(p @ (scale * p)))
        # The recurrence divides by both numbers; an exact solution ends it, too.
        if lowest <= 0 or rz < 1e-24:
            break
        r = r - rz / curvature * Ap
        z = r / scale
        rz, old = float(r @ z), rz
        p = z + rz / old * p
    return lowest
