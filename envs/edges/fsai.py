"""The objective ``fsai``: which entries a factorised sparse approximate inverse may have.

G is lower triangular with G A G^T near 1; row i may use k of the columns j < i that two steps in
the graph of A reach. For a choice P the best row has the residual d_i = a_ii - a_iP A_PP^-1 a_Pi,
and what is earned is Kaporin's measure, -mean ln(d_i / a_ii). It is exact, needs no solve and is a
mean over rows, so that each row's share of it is known and the optimum is found by trying all.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import sparse

from envs.contract.pytree import Bools, Floats, Ints, Keys
from envs.edges.graph import Graph, affinity, by_row, entries, smooth_vectors
from envs.edges.instances import Matrix
from envs.edges.krylov import Preconditioner

_CHUNK = 2**20


def candidates(matrix: Matrix, key: Keys) -> Graph:
    """Return the graph of what each row may use: all j < i with an entry (i, j) in A^2.

    Scored by |a_ij|, -a_ij, the weight of paths of two edges, and algebraic affinity.
    """
    size = abs(matrix)
    # The pattern of A^2 without its values: products of signed entries could cancel to a structural
    # zero.
    ones = size.copy()
    ones.data[:] = 1.0
    reach = sparse.tril(ones @ ones, k=-1, format="coo")
    # Sorted by row, then by column: a pick counts edges within its row.
    order = np.lexsort((reach.col, reach.row))
    rows, columns = reach.row[order].astype(np.int64), reach.col[order].astype(np.int64)
    paths: Matrix = (size @ sparse.diags_array(1 / matrix.diagonal()) @ size).tocsr()
    paths.sort_indices()
    values, vectors = entries(matrix, rows, columns), smooth_vectors(matrix, key)
    measures = [np.abs(values), -values, entries(paths, rows, columns)]
    return by_row(matrix, rows, columns, vectors, [*measures, affinity(vectors, rows, columns)])


def row_rewards(graph: Graph, chosen: Bools) -> Floats:
    """Compute -ln(d_i / a_ii) [N] of chosen edges [E]; the reward is its mean."""
    columns, valid = _columns(graph, chosen)
    return -np.log(_solve_rows(graph.matrix, np.arange(len(columns)), columns, valid)[0])


def preconditioner(graph: Graph, chosen: Bools) -> Preconditioner:
    """Return the preconditioner r -> G^T G r of chosen edges [E]."""
    columns, valid = _columns(graph, chosen)
    n, k = columns.shape
    # Row i of G is (-y, 1) scaled so that the diagonal of G A G^T is 1 exactly.
    ratio, y = _solve_rows(graph.matrix, np.arange(n), columns, valid)
    scale = 1 / np.sqrt(ratio * graph.matrix.diagonal())
    rows = np.repeat(np.arange(n), k).reshape(n, k)
    inner = (-y * scale[:, None])[valid], (rows[valid], columns[valid])
    G: Matrix = sparse.coo_array(inner, shape=(n, n)).tocsr() + sparse.diags_array(scale)
    # Converted once: a product with a transposed CSR array would run over columns in every
    # iteration.
    transposed = G.T.tocsr()
    return lambda r: transposed @ (G @ r)


def optimum(graph: Graph, k: int) -> Bools:
    """Find the edges [E] of the highest possible reward by trying all choices of each row."""
    degree = np.diff(graph.starts)
    best = np.zeros(len(graph.rows), np.bool_)
    # Rows of equal degree share their list of combinations, and thus one batched solve.
    for d in np.unique(degree[degree > 0]).tolist():
        rows = np.flatnonzero(degree == d)
        choices = np.array(list(itertools.combinations(range(d), min(k, d))))
        # Bounds the memory of the blocks [rows x combinations, k, k].
        at_once = max(1, _CHUNK // (len(choices) * choices.shape[1] ** 2))
        for part in np.array_split(rows, -(-len(rows) // at_once)):
            # Shape [rows, combinations, k]: numbers of edges in the whole graph.
            edges = graph.starts[part, None, None] + choices
            flat = edges.reshape(-1, choices.shape[1])
            owner = np.repeat(part, len(choices))
            whole = np.ones(flat.shape, np.bool_)
            ratio, _ = _solve_rows(graph.matrix, owner, graph.columns[flat], whole)
            least = ratio.reshape(len(part), -1).argmin(axis=1)
            best[edges[np.arange(len(part)), least]] = True
    return best


def _columns(graph: Graph, chosen: Bools) -> tuple[Ints, Bools]:
    """Return the chosen columns of each row [N, k], k the most of any, and their mask."""
    rows, columns = graph.rows[chosen], graph.columns[chosen]
    counts = np.bincount(rows, minlength=graph.matrix.shape[0])
    table = np.zeros((len(counts), max(int(counts.max()), 1)), np.int64)
    valid = np.arange(table.shape[1]) < counts[:, None]
    table[valid] = columns
    return table, valid


def _solve_rows(A: Matrix, rows: Ints, columns: Ints, valid: Bools) -> tuple[Floats, Floats]:
    """Solve A_PP y = a_Pi for rows i [M] and columns P [M, k]: (d_i / a_ii [M], y [M, k])."""
    both = valid[:, :, None] & valid[:, None, :]
    block = np.where(both, entries(A, columns[:, :, None], columns[:, None, :]), 0.0)
    k = columns.shape[1]
    # Places that are not real are tied to zero.
    block[:, np.arange(k), np.arange(k)] += ~valid
    side = np.where(valid, entries(A, rows[:, None], columns), 0.0)
    # A_PP is a principal block of a definite matrix, so it is never singular.
    y = np.linalg.solve(block, side[:, :, None])[..., 0]
    diagonal = A.diagonal()[rows]
    return 1 - (y * side).sum(axis=1) / diagonal, y
