"""The graph of an instance: the edges that may be chosen, and their features.

All features are scale-free: they do not change when the matrix is multiplied by a number or the
grid is refined, so that a policy trained at 32 x 32 works at 128 x 128.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

from envs.contract import counter_rng
from envs.contract.pytree import Array, Bools, Floats, Ints, Keys
from envs.edges.instances import Matrix
from envs.edges.reproducible import reproducible
from rungwise.optional_imports import import_extra

SCORES = 4
"""Scores of an edge: four measures of its strength, which the objective defines."""
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
VECTORS = 4
"""Number of test vectors whose smooth parts show how the matrix couples its nodes."""
NODE_FEATURES = 3 + VECTORS
EDGE_FEATURES = SCORES + 3
SUMMARY = SCORES * (len(QUANTILES) + 2) + 2
"""Length of a graph's summary."""
_FLOOR = 1e-3
_SWEEPS = 5


@dataclasses.dataclass(frozen=True)
class Graph:
    """A matrix with N nodes and E directed edges to choose from, sorted by row."""

    matrix: Matrix
    """The system's matrix A [N, N]."""
    rows: Ints
    """[E]: the node at which the edge starts."""
    columns: Ints
    """[E]: the node at which it ends; never the same."""
    starts: Ints
    """[R + 1]: first edge of each decision (one decision per node, or one in all)."""
    vectors: Floats
    """[N, VECTORS]: smooth test vectors."""
    scores: Floats
    """[E, 4] in [-1, 0]: strength by each measure; 0 is the strongest of its rows."""

    @property
    def values(self) -> Floats:
        """The entries a_ij [E]; 0 where the edge is not in the matrix."""
        return entries(self.matrix, self.rows, self.columns)


def offdiagonal(matrix: Matrix, key: Keys) -> Graph:
    """Return the graph of all off-diagonal entries, one decision for each row.

    Scored by |a_ij|, -a_ij, PyAMG's evolution measure and algebraic affinity.
    """
    coo = matrix.tocoo()
    off = coo.row != coo.col
    rows, columns = coo.row[off].astype(np.int64), coo.col[off].astype(np.int64)
    vectors = smooth_vectors(matrix, key)
    values = entries(matrix, rows, columns)
    measures = [np.abs(values), -values, evolution(matrix, rows, columns)]
    measures.append(affinity(vectors, rows, columns))
    return by_row(matrix, rows, columns, vectors, measures)


def by_row(
    matrix: Matrix, rows: Ints, columns: Ints, vectors: Floats, measures: list[Floats]
) -> Graph:
    """Make the graph of edges [E] sorted by row, one decision a row, with four measures [E]."""
    scores = np.stack([strength(m, rows, columns, matrix.shape[0]) for m in measures], 1)
    starts = np.searchsorted(rows, np.arange(matrix.shape[0] + 1))
    return Graph(matrix, rows, columns, starts, vectors, scores)


def entries(matrix: Matrix, rows: Ints, columns: Ints) -> Floats:
    """Return the entries a_ij at any rows and columns [...]; 0 where nothing is stored."""
    n = matrix.shape[0]
    # Rows and columns become one sorted number, so any set of entries is one binary search; int64,
    # because n^2 overflows 32 bits.
    row_of = np.repeat(np.arange(n, dtype=np.int64), np.diff(matrix.indptr))
    stored, wanted = row_of * n + matrix.indices, rows * n + columns
    # Clipped, because a wanted entry behind the last one would be out of range.
    index = np.searchsorted(stored, wanted).clip(max=len(stored) - 1)
    return np.where(stored[index] == wanted, matrix.data[index], 0.0)


def strength(measure: Floats, rows: Ints, columns: Ints, nodes: int) -> Floats:
    """Scale a measure [E], greater is stronger, to a score [E] in [-1, 0].

    It is divided by the geometric mean of the greatest in the rows of both ends (or of one, where
    the other has no positive one), and ln(.001) .. ln(1) become -1 .. 0.
    """
    greatest = np.zeros(nodes)
    # Starting from zero, so negative measures never become a row's greatest.
    np.maximum.at(greatest, rows, measure)
    np.maximum.at(greatest, columns, measure)
    # The geometric mean of both ends makes the score symmetric and free of row scaling.
    scale = np.sqrt(greatest[rows] * greatest[columns])
    relative = np.divide(measure, scale, out=np.zeros_like(measure), where=scale > 0)
    return np.clip(np.log(np.clip(relative, _FLOOR, 1)) / -np.log(_FLOOR), -1, 0)


def smooth_vectors(matrix: Matrix, key: Keys) -> Floats:
    """Return test vectors [N, 4] of A x = 0 after 5 Jacobi sweeps (2/3), of unit mean square."""
    # Relaxation leaves smooth error, which varies little along strong edges: these vectors are
    # samples of it.
    x = counter_rng.normal(key, (matrix.shape[0], VECTORS))[0].astype(np.float64)
    weight = (2 / 3) / matrix.diagonal()[:, None]
    for _ in range(_SWEEPS):
        x = x - weight * (matrix @ x)
    return x / np.sqrt((x * x).mean(axis=0))


def evolution(matrix: Matrix, rows: Ints, columns: Ints) -> Floats:
    """Compute PyAMG's evolution measure [E], undropped (Olson, Schroder and Tuminaro, 2010)."""
    of_connection = import_extra("pyamg", "edges").strength.evolution_strength_of_connection
    with reproducible():
        # epsilon=inf drops nothing: the score needs the measure of every edge and not a decision.
        measure = of_connection(matrix, np.ones((matrix.shape[0], 1)), epsilon=np.inf, k=2)
    csr: Matrix = sparse.csr_array(measure)
    csr.sort_indices()
    return entries(csr, rows, columns)


def affinity(vectors: Floats, rows: Ints, columns: Ints) -> Floats:
    """Compute the inverse algebraic distance [E]: 1 / (1 - cos^2) (Livne and Brandt, 2012)."""
    x, y = vectors[rows], vectors[columns]
    cosine = (x * y).sum(axis=1) ** 2 / ((x * x).sum(axis=1) * (y * y).sum(axis=1) + 1e-300)
    # Parallel vectors would give infinity.
    return 1 / np.clip(1 - cosine, 1e-6, None)


def summary(scores: Floats, graph: Graph) -> Floats:
    """Summarise a graph in 30 numbers: quantiles, mean and spread of each score [E, 4].

    The last two are the share of positive entries and the edges for each node.
    """
    # Centred and widened: raw scores lie in [-1, 0] and mostly near its ends.
    x = 2 * scores + 1
    parts = [np.quantile(x, QUANTILES, axis=0), x.mean(axis=0)[None], 2 * x.std(axis=0)[None]]
    positive = 2 * (graph.values > 0).mean() - 1
    # Relative to 8, the neighbours of a nine-point stencil.
    degree = np.log(len(graph.rows) / graph.matrix.shape[0] / 8)
    return np.append(np.concatenate(parts).T.ravel(), [positive, degree]).astype(np.float32)


def pad_graph(
    graph: Graph, scores: Floats, kept: Bools, nodes: int, edges: int
) -> dict[str, Array]:
    """Return the graph as dense arrays of a fixed size; the edges of a row are adjacent.

    So pick p of row i is the p-th edge whose ``edges[0]`` is i.

    Args:
        graph: the graph, of N nodes and E edges.
        scores: its scores [E, 4] at this step.
        kept: [E], true where an edge was already chosen.
        nodes: rows of ``nodes`` [nodes, f], its first N in use (``node_mask``).
        edges: rows of ``edge_features`` [edges, g] and columns of ``edges`` [2, edges], the first
            E in use (``edge_mask``); those beyond are edges from node 0 to itself. ``legal`` are
            those that may still be chosen.
    """
    N, E = graph.matrix.shape[0], len(graph.rows)
    padded = {
        "nodes": np.zeros((nodes, NODE_FEATURES), np.float32),
        "edges": np.zeros((2, edges), np.int64),
        "edge_features": np.zeros((edges, EDGE_FEATURES), np.float32),
        "node_mask": np.zeros(nodes, np.float32),
        "edge_mask": np.zeros(edges, np.float32),
        "legal": np.zeros(edges, np.float32),
    }
    padded["nodes"][:N] = _node_features(graph)
    padded["edges"][:, :E] = graph.rows, graph.columns
    padded["edge_features"][:E] = _edge_features(graph, scores, kept)
    padded["node_mask"][:N] = padded["edge_mask"][:E] = 1
    padded["legal"][:E] = ~kept
    return padded


def _node_features(graph: Graph) -> Floats:
    A = graph.matrix
    diagonal = A.diagonal()
    degree = np.diff(A.indptr)
    dominance = diagonal / np.asarray(abs(A).sum(axis=1))
    plain = [np.log(degree / degree.mean()), np.log(diagonal / diagonal.mean()), dominance]
    return np.clip(np.concatenate([np.stack(plain, 1), graph.vectors], 1), -10, 10)


def _edge_features(graph: Graph, scores: Floats, kept: Bools) -> Floats:
    x, y = graph.vectors[graph.rows], graph.vectors[graph.columns]
    cosine = (x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1) + 1e-300)
    diagonal = graph.matrix.diagonal()
    # a_ij / sqrt(a_ii a_jj) does not change when rows and columns are scaled.
    relative = graph.values / np.sqrt(diagonal[graph.rows] * diagonal[graph.columns])
    more = np.stack([relative, cosine, kept.astype(np.float64)], 1)
    return np.clip(np.concatenate([scores, more], 1), -10, 10)
