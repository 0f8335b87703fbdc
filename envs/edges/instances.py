"""Instances: sparse symmetric positive definite matrices drawn from keys.

The laws:

* ``anisotropic``: the post-mortem's. -div(K grad u) on a square, K = Q diag(1, eps) Q^T with Q the
  rotation by theta ~ U[0, 2 pi], ln eps ~ U[ln .001, ln .5], nine-point differences.
* ``variable``: the same eps everywhere, theta a smooth function of the place; bilinear elements.
* ``mesh``: linear elements on a random unstructured triangulation, K as in ``anisotropic``.
* ``gallery``: the symmetric positive definite examples that PyAMG ships, one of them at random.
* ``weighted_grid``: the Laplacian of an 8-neighbour grid, conductances exp(N(0, 1)).
* ``random_graph``: the Laplacian of a planar graph and some long edges, conductances likewise.

Laplacians are grounded: node 0 is tied to zero by a usual conductance, so that they are definite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy import sparse, spatial

from envs.contract import counter_rng
from envs.contract.pytree import Floats, Ints, Keys
from rungwise.optional_imports import import_extra

Matrix: TypeAlias = Any
"""A square ``scipy.sparse.csr_array`` of float64 with sorted columns (scipy ships no types)."""

Family: TypeAlias = Literal[
    "anisotropic", "variable", "mesh", "gallery", "weighted_grid", "random_graph"
]
GRAPHS = ("weighted_grid", "random_graph")
"""The families of graph Laplacians."""
ON_GRIDS = ("anisotropic", "variable", "weighted_grid")
"""The families whose matrices have the entries of a nine-point stencil on a square."""
ANISOTROPIC = ("anisotropic", "variable", "mesh")
"""The families that draw an anisotropy."""
SMALLEST_EPSILON, LARGEST_EPSILON = 0.001, 0.5
"""Bounds of the anisotropy eps: the smaller it is, the stronger."""
# unit_square, recirc_flow and helmholtz_2D are singular, nonsymmetric and complex.
_GALLERY = ("airfoil", "bar", "knot", "local_disc_galerkin_diffusion", "unit_cube")
_LONG_EDGES = 0.25
"""Long edges of a random graph for each of its nodes."""


def draw_matrix(
    family: Family, size: int, key: Keys, smallest_epsilon: float = SMALLEST_EPSILON
) -> Matrix:
    """Draw the matrix of one key [1] with size x size nodes.

    ``smallest_epsilon`` bounds the anisotropy of the families that draw one.
    """
    if family in ANISOTROPIC:
        return canonical(_ANISOTROPIC_LAWS[family](size, key, smallest_epsilon))
    return canonical(_LAWS[family](size, key))


def canonical(matrix: Any) -> Matrix:
    """Convert a sparse matrix to a csr_array of float64: sorted, no zeros, no duplicates."""
    csr: Matrix = sparse.csr_array(matrix, dtype=np.float64)
    # Duplicates first: entries that cancel become explicit zeros, which the next line removes.
    csr.sum_duplicates()
    csr.eliminate_zeros()
    csr.sort_indices()
    # PyAMG's kernels take 32-bit indices alone.
    csr.indices, csr.indptr = csr.indices.astype(np.int32), csr.indptr.astype(np.int32)
    return csr


def capacity(family: Family, size: int) -> tuple[int, int]:
    """Return the largest numbers of nodes and off-diagonal entries of a family's matrices."""
    n = size * size
    if family == "gallery":
        matrices = [_example(name) for name in _GALLERY]
        return max(A.shape[0] for A in matrices), max(A.nnz - A.shape[0] for A in matrices)
    if family in ("mesh", "random_graph"):
        # A planar graph has fewer than three edges a node, each of them two entries.
        return n, 6 * n + (2 * int(_LONG_EDGES * n) if family == "random_graph" else 0)
    # The nine-point stencil is a product of two three-point ones, each with 3 size - 2 entries.
    return n, (3 * size - 2) ** 2 - n


def pairs_within_two(family: Family, size: int) -> int:
    """Return the largest number of node pairs that at most two entries of a matrix join.

    On a grid of nine-point stencils they are counted: the nodes within two rows and columns. Else
    it is half of all paths of two edges, if every node has as many; most of them lead to the same
    places, which pays for the nodes that have more.
    """
    nodes, entries = capacity(family, size)
    if family in ON_GRIDS:
        return ((5 * size - 6) ** 2 - nodes) // 2
    return -(-(entries**2) // (2 * nodes))


def parameters(
    family: Family, key: Keys, smallest_epsilon: float = SMALLEST_EPSILON
) -> dict[str, float]:
    """Return ``epsilon`` and ``theta`` of the matrix of a key [1]; empty for other laws.

    Theta is the angle in [0, 45] degrees to the nearest axis (of ``variable``, before it turns).
    """
    if family not in ANISOTROPIC:
        return {}
    law_key = counter_rng.fold(key, 1) if family == "mesh" else key
    theta, epsilon = anisotropy(law_key, smallest_epsilon)
    quarter = np.rad2deg(theta) % 90
    return {"epsilon": epsilon, "theta": min(quarter, 90 - quarter)}


def anisotropy(key: Keys, smallest_epsilon: float = SMALLEST_EPSILON) -> tuple[float, float]:
    """Draw (theta, eps) of one key [1] by the post-mortem's law, eps above the smallest."""
    u, v = counter_rng.uniform(key, (2,))[0]
    # Uniform in the logarithm: all orders of magnitude of anisotropy are equally likely.
    low, high = np.log((smallest_epsilon, LARGEST_EPSILON))
    return float(2 * np.pi * u), float(np.exp(low + (high - low) * v))


def anisotropic(size: int, theta: float, epsilon: float) -> Matrix:
    """Return nine-point differences of rotated anisotropic diffusion on size x size points."""
    gallery = import_extra("pyamg", "edges").gallery
    stencil = gallery.diffusion_stencil_2d(epsilon=epsilon, theta=theta, type="FD")
    return canonical(gallery.stencil_grid(stencil, (size, size)))


def _anisotropic(size: int, key: Keys, smallest_epsilon: float) -> Matrix:
    return anisotropic(size, *anisotropy(key, smallest_epsilon))


def _variable(size: int, key: Keys, smallest_epsilon: float) -> Matrix:
    base, epsilon = anisotropy(key, smallest_epsilon)
    # Three random plane waves make the angle vary smoothly.
    waves = counter_rng.normal(counter_rng.fold(key, 1), (3, 3))[0].astype(np.float64)
    centre = (np.arange(size + 1) + 0.5) / (size + 1)
    x, y = (part.ravel() for part in np.meshgrid(centre, centre, indexing="ij"))
    theta = base + sum(np.sin(np.pi * (a * x + b * y) + c) for a, b, c in waves)
    return bilinear_elements(size, _tensor(theta, epsilon))


def bilinear_elements(size: int, K: Floats) -> Matrix:
    """Return the stiffness matrix of -div(K grad u), zero on the border of a square.

    Args:
        size: inner points on a side.
        K: [(size + 1)^2, 2, 2], the tensor in each element, row by row.
    """
    # Integrals of d_a phi_i d_b phi_j over the unit square; corners (0,0), (0,1), (1,0), (1,1).
    ends, mass = np.array([-1.0, 1.0]), np.array([[2.0, 1.0], [1.0, 2.0]]) / 6
    stiff, mixed = np.outer(ends, ends), np.outer(ends, [0.5, 0.5])
    # Bilinear shape functions are products, so their integrals are Kronecker products of
    # one-dimensional ones.
    xx, yy, xy = np.kron(stiff, mass), np.kron(mass, stiff), np.kron(mixed, mixed.T)
    parts = K[:, 0, 0, None, None] * xx + K[:, 1, 1, None, None] * yy
    blocks = parts + K[:, 0, 1, None, None] * (xy + xy.T)
    # Assembled with the border, which is cut off below: zero values there drop out of the system.
    points = np.arange((size + 2) ** 2).reshape(size + 2, size + 2)
    corners = [points[:-1, :-1], points[:-1, 1:], points[1:, :-1], points[1:, 1:]]
    nodes = np.stack([corner.ravel() for corner in corners], 1)
    rows, columns = np.broadcast_arrays(nodes[:, :, None], nodes[:, None, :])
    whole = sparse.coo_array((blocks.ravel(), (rows.ravel(), columns.ravel()))).tocsr()
    inner = points[1:-1, 1:-1].ravel()
    return whole[inner][:, inner]


def _mesh(size: int, key: Keys, smallest_epsilon: float) -> Matrix:
    skfem = import_extra("skfem", "edges")
    points, triangles = _triangulation(size, key)
    K = _tensor(*anisotropy(counter_rng.fold(key, 1), smallest_epsilon))

    @skfem.BilinearForm
    def stiffness(u: Any, v: Any, w: Any) -> Any:
        return np.einsum("ab,aeq,beq->eq", K, u.grad, v.grad)

    mesh = skfem.MeshTri(points.T.copy(), triangles.T.copy())
    whole = stiffness.assemble(skfem.Basis(mesh, skfem.ElementTriP1()))
    return sparse.csr_array(whole)[: size * size][:, : size * size]


def _triangulation(size: int, key: Keys) -> tuple[Floats, Ints]:
    """Return points [size^2 + border, 2], inner first, and triangles [t, 3], finer at one side."""
    jitter = counter_rng.uniform(key, (size * size + 1, 2))[0]
    power = 1 + jitter[-1]
    cell = np.stack(np.meshgrid(*(2 * [np.arange(size)]), indexing="ij"), -1).reshape(-1, 2)
    # Jitter below half a cell keeps the points apart, so that triangles stay well shaped.
    inner = (cell + 0.5 + 0.7 * (jitter[:-1] - 0.5)) / size
    t = np.linspace(0, 1, size + 1)[:-1]
    sides = [(t, 0 * t), (0 * t + 1, t), (1 - t, 0 * t + 1), (0 * t, 1 - t)]
    border = np.concatenate([np.stack(side, 1) for side in sides])
    # A power of the coordinates grades the mesh towards one corner.
    points = np.concatenate([inner, border]) ** power
    triangles = spatial.Delaunay(points).simplices.astype(np.int64)
    corners = points[triangles]
    (ax, ay), (bx, by) = (corners[:, i].T - corners[:, 0].T for i in (1, 2))
    # Flat triangles along the border have no area, and no part in the integral.
    return points, triangles[np.abs(ax * by - ay * bx) > 1e-12]


def _gallery(size: int, key: Keys) -> Matrix:
    return _example(_GALLERY[int(counter_rng.integers(key, len(_GALLERY))[0])])


def _example(name: str) -> Matrix:
    return canonical(import_extra("pyamg", "edges").gallery.load_example(name)["A"])


def _weighted_grid(size: int, key: Keys) -> Matrix:
    at = np.arange(size * size).reshape(size, size)
    pairs = [(at[1:], at[:-1]), (at[:, 1:], at[:, :-1])]
    pairs += [(at[1:, 1:], at[:-1, :-1]), (at[1:, :-1], at[:-1, 1:])]
    return _laplacian(np.concatenate([np.stack([a.ravel(), b.ravel()], 1) for a, b in pairs]), key)


def _random_graph(size: int, key: Keys) -> Matrix:
    n = size * size
    points = counter_rng.uniform(counter_rng.fold(key, 1), (n, 2))[0]
    corners = spatial.Delaunay(points).simplices.astype(np.int64)
    planar = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    long = counter_rng.integers(counter_rng.fold(key, 2), n, (int(_LONG_EDGES * n), 2))[0]
    # Sorted ends make both directions of an edge equal, so that np.unique removes duplicates.
    ends = np.sort(np.concatenate([planar, long[long[:, 0] != long[:, 1]]]), 1)
    return _laplacian(np.unique(ends, axis=0), key)


def _laplacian(ends: Ints, key: Keys) -> Matrix:
    """Return the grounded Laplacian of edges [M, 2] with conductances exp(N(0, 1))."""
    weight = np.exp(counter_rng.normal(key, (len(ends),))[0].astype(np.float64))
    n = int(ends.max()) + 1
    half = sparse.coo_array((weight, (ends[:, 0], ends[:, 1])), shape=(n, n))
    conductances = (half + half.T).tocsr()
    tied = np.zeros(n)
    tied[0] = 1.0
    return sparse.diags_array(conductances.sum(axis=1) + tied) - conductances


def _tensor(theta: Floats | float, epsilon: float) -> Floats:
    """Return K = Q diag(1, eps) Q^T [..., 2, 2] of angles [...]."""
    c, s = np.cos(theta), np.sin(theta)
    mixed = (1 - epsilon) * c * s
    rows = [c * c + epsilon * s * s, mixed, mixed, s * s + epsilon * c * c]
    return np.stack(rows, -1).reshape(*np.shape(theta), 2, 2)


_ANISOTROPIC_LAWS: dict[str, Callable[[int, Keys, float], Matrix]] = {
    "anisotropic": _anisotropic,
    "variable": _variable,
    "mesh": _mesh,
}
_LAWS: dict[str, Callable[[int, Keys], Matrix]] = {
    "gallery": _gallery,
    "weighted_grid": _weighted_grid,
    "random_graph": _random_graph,
}
