"""The objective ``sparsifier``: a spanning tree and a few more edges stand for a whole graph.

The Laplacian of the kept edges is factorised and preconditions that of the graph. An episode
starts from the tree of the greatest weights and ends when the budget of 1.25 N edges is used up;
each step adds a batch of edges, scored by how much the kept ones stretch the others.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph, linalg

from envs.contract import counter_rng
from envs.contract.pytree import Bools, Floats, Keys
from envs.edges.graph import Graph, smooth_vectors
from envs.edges.instances import Matrix
from envs.edges.krylov import Preconditioner
from rungwise.validation import InputError

BUDGET = 1.25
"""Kept edges for each node."""
PROJECTIONS, FEW = 256, 64
"""Random projections for the scores of edges, and for their overlaps."""
_WEAKEST = 1e-4


def candidates(matrix: Matrix, key: Keys) -> Graph:
    """Return the graph of the matrix's undirected edges (i < j), one decision for all of them.

    Raises:
        InputError: an off-diagonal entry is positive, so that this is no graph's Laplacian.
    """
    upper = sparse.triu(matrix, k=1, format="coo")
    if (upper.data > 0).any():
        raise InputError(
            f"objective='sparsifier' needs a graph's Laplacian, but {int((upper.data > 0).sum())} "
            "off-diagonal entries are positive: take family='weighted_grid' or "
            "'random_graph', or a matrix whose off-diagonal entries are negative."
        )
    order = np.lexsort((upper.col, upper.row))
    rows, columns = upper.row[order].astype(np.int64), upper.col[order].astype(np.int64)
    # One decision over all edges, unlike the other objectives, which have one a row.
    starts = np.array([0, len(rows)])
    vectors = smooth_vectors(matrix, key)
    return Graph(matrix, rows, columns, starts, vectors, np.zeros((len(rows), 4)))


def spanning_tree(graph: Graph) -> Bools:
    """Return the edges [E] of the spanning tree (or forest) of the greatest total weight."""
    n = graph.matrix.shape[0]
    # Values are negative weights, so the ascending order has the greatest weight first.
    order = np.argsort(graph.values, kind="stable")
    # Ranks instead of weights: all different and none of them zero.
    rank = np.empty(len(order))
    rank[order] = np.arange(1, len(order) + 1)
    # Graphs of SciPy before 1.17 are numbered in 32 bits.
    ends = graph.rows.astype(np.int32), graph.columns.astype(np.int32)
    tree = csgraph.minimum_spanning_tree(sparse.coo_array((rank, ends), shape=(n, n)).tocsr())
    kept = np.zeros(len(order), np.bool_)
    # The ranks in the tree's data name the edges again.
    kept[order[tree.data.astype(np.int64) - 1]] = True
    return kept


def laplacian(graph: Graph, kept: Bools) -> Matrix:
    """Return the Laplacian of kept edges [E]; what grounds the matrix stays."""
    n = graph.matrix.shape[0]
    rows, columns, weight = graph.rows[kept], graph.columns[kept], -graph.values[kept]
    half = sparse.coo_array((weight, (rows, columns)), shape=(n, n))
    adjacency = half + half.T
    # Row sums of the whole matrix: without this term L_S would be singular.
    ground = np.asarray(graph.matrix.sum(axis=1)).clip(min=0)
    whole: Matrix = sparse.csc_array(sparse.diags_array(adjacency.sum(axis=1) + ground) - adjacency)
    # SuperLU takes 32-bit indices only.
    whole.indices, whole.indptr = whole.indices.astype(np.int32), whole.indptr.astype(np.int32)
    return whole


class Factor:
    """The factorised Laplacian of kept edges, and scores of the others by random projections.

    The projections are those of Spielman and Srivastava (2011): 256 of them give effective
    resistances to about 9 %, at the cost of 256 solves at any size. A batch takes the highest
    scores and so, with fewer projections, overestimated ones: with 64 no rule needed fewer than 28
    iterations.
    """

    def __init__(self, graph: Graph, kept: Bools) -> None:
        self.graph, self.kept = graph, kept
        # An ordering for symmetric matrices, with which a tree factorises without fill.
        self._lu = linalg.splu(
            laplacian(graph, kept), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
        )

    @property
    def entries(self) -> int:
        """Entries of both factors."""
        return int(self._lu.L.nnz + self._lu.U.nnz)

    def preconditioner(self) -> Preconditioner:
        """Return the preconditioner r -> L_S^-1 r."""
        return self._lu.solve

    def sketch(self) -> Floats:
        """Return vectors v_e [E, 64], v_e . v_f / 64 near b_e^T L_S^-1 b_f, b_e = e_i - e_j."""
        return self._project(self.kept, FEW)

    def scores(self) -> Floats:
        """Return the scores [E, 4] of the edges in [-1, 0]; kept edges have -1.

        By weight w_e; by stretch w_e b_e^T L_S^-1 b_e; by the trace of L L_S^-1 that it would take
        away, w_e |L^1/2 L_S^-1 b_e|^2 / (1 + stretch) (Liu and Yu, 2022); by stretch relative to
        the greatest among the edges that share an end with it. ln(1e-4) .. ln(1) of the greatest
        become -1 .. 0.
        """
        graph = self.graph
        weight = -graph.values
        # Effective resistance R_e = b_e^T L_S^-1 b_e, estimated by projections; its exact value
        # would take one solve per edge.
        stretch = weight * _mean_square(self._project(self.kept, PROJECTIONS))
        # Projections of all edges estimate L_S^-1 L L_S^-1, the quantity in the trace.
        whole = self._project(np.ones_like(self.kept), PROJECTIONS)
        # Sherman-Morrison: adding the edge divides its effect by 1 + stretch.
        trace = weight * _mean_square(whole) / (1 + stretch)
        greatest = np.zeros(graph.matrix.shape[0])
        ends, alive = np.append(graph.rows, graph.columns), np.where(self.kept, 0.0, stretch)
        np.maximum.at(greatest, ends, np.tile(alive, 2))
        rival = np.maximum(greatest[graph.rows], greatest[graph.columns])
        parts = [self._log(measure) for measure in (weight, stretch, trace)]
        parts.append(self._log(np.divide(alive, rival, out=np.zeros_like(alive), where=rival > 0)))
        return np.stack(parts, 1)

    def _log(self, measure: Floats) -> Floats:
        alive = np.where(self.kept, 0.0, measure)
        relative = alive / max(float(alive.max()), 1e-300)
        return np.log(np.clip(relative, _WEAKEST, 1)) / -np.log(_WEAKEST)

    def _project(self, which: Bools, count: int) -> Floats:
        """Compute L_S^-1 B W^1/2 z for random signs z of the edges ``which``: [E, count]."""
        graph = self.graph
        rows, columns, weight = graph.rows[which], graph.columns[which], -graph.values[which]
        # The same signs for equal numbers of edges: scores are then a function of the state.
        key = counter_rng.make_keys_from_seeds(
            np.arange(count, dtype=np.uint64) + np.uint64(len(rows))
        )
        words = counter_rng.bits(key, -(-len(rows) // 64))  # 64 signs each
        drawn = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, count=len(rows))
        # Column p holds W^1/2 z_p for random signs z_p: [edges, count].
        flow = np.sqrt(weight)[:, None] * (1.0 - 2.0 * np.ascontiguousarray(drawn.T))
        ends = np.append(rows, columns), np.tile(np.arange(len(rows)), 2)
        signed = np.repeat([1.0, -1.0], len(rows))
        incidence = sparse.coo_array((signed, ends), shape=(graph.matrix.shape[0], len(rows)))
        # One solve with many right-hand sides; float32 halves the memory of the gather below.
        points = self._lu.solve(incidence.tocsr() @ flow).astype(np.float32)
        return points[graph.rows] - points[graph.columns]


def _mean_square(vectors: Floats) -> Floats:
    """Return the mean squares [E] of vectors [E, P]."""
    return np.einsum("ep,ep->e", vectors, vectors).astype(np.float64) / vectors.shape[1]


def spread(priority: Floats, sketch: Floats, k: int, limit: float, free: Bools) -> Bools:
    """Choose k free edges by priority [E] that affect different parts of the graph.

    An edge is passed over when cos^2 to one already taken, in the inner product of L_S^-1, exceeds
    ``limit``: adding one of the two takes away so much of the other's stretch. Passed edges come
    into question again when no other is left.
    """
    length = np.sqrt((sketch**2).sum(axis=1, keepdims=True))
    unit = sketch / np.maximum(length, 1e-300)
    chosen = np.zeros_like(free)
    most = min(k, int(free.sum()))
    taken, count = np.empty((most, unit.shape[1]), unit.dtype), 0
    remaining = np.flatnonzero(free)
    remaining = remaining[np.argsort(-priority[remaining], kind="stable")]
    while count < most:
        # An edge is compared with those taken in this pass alone, so that passed ones may return in
        # the next.
        first, passed = count, list[int]()
        # Compared with the few that are taken, not all others with each of these.
        for edge in remaining.tolist():
            if count == most:
                break
            if ((taken[first:count] @ unit[edge]) ** 2 > limit).any():
                passed.append(edge)
                continue
            taken[count], chosen[edge] = unit[edge], True
            count += 1
        remaining = np.array(passed)
    return chosen


def batch(nodes: int, steps: int) -> int:
    """Return the number of edges that each step adds to a tree."""
    return max(1, (int(BUDGET * nodes) - (nodes - 1)) // steps)
