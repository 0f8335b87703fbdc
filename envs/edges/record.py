"""An episode as a picture: a few neighbouring nodes and the edges chosen among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csgraph

from envs.contract.episode_trace import EpisodeTrace, Frame
from envs.contract.pytree import Bools, Floats, Ints
from envs.edges import instances
from envs.edges.graph import Graph
from envs.edges.state import State, Task

SIDE = 5
"""Side of the drawn part of a grid; of another graph SIDE * SIDE nodes are drawn."""
COLUMNS = ["step", "edges chosen", "share", "iterations", "work per digit", "against the usual"]


def trace_episode(task: Task, states: Sequence[State]) -> EpisodeTrace:
    """Describe the episode of T + 1 states [1]."""
    instance, kept, _ = task.unpad_copy(states[-1], 0)
    graph = instance.graph
    on_grid = task.matrix is None and task.params.law in instances.ON_GRIDS
    side = task.sides[int(states[0].stage[0])]
    nodes = middle_of_grid(side) if on_grid else neighbourhood(graph, SIDE * SIDE)
    across = (nodes % side, nodes // side) if on_grid else compute_spectral_layout(graph, nodes)
    pairs = list_drawn_edges(graph, kept, nodes)
    usual = instance.reference
    frames: list[Frame] = []
    for step, state in enumerate(states):
        now = task.unpad_copy(state, 0)[1]
        cells = [str(step), f"{int(now.sum()):,}", f"{now.mean():.1%}"]
        caption = "before" if step == 0 else f"{int(now.sum()):,} edges"
        if now.any():
            level = float(states[max(step - 1, 0)].level[0])
            result = task.objective.evaluate(instance, now, level, task.params.solve)
            ratio = result.work / usual.work
            cells += [f"{result.iterations:.1f}", f"{result.work:.2f}", f"{ratio:.2f}"]
        force = _in_force(graph, now, nodes)
        cut = [index for index, pair in enumerate(pairs) if tuple(pair) not in force]
        frames.append(Frame(caption, cells + [""] * (len(COLUMNS) - len(cells)), cut=cut))
    return EpisodeTrace(
        about=f"{len(nodes)} of {graph.matrix.shape[0]:,} nodes and what may be chosen among them, "
        "dashed where it is not. The usual choice "
        f"needs {usual.iterations:.1f} iterations and {usual.work:.2f} products with the matrix "
        "for a digit.",
        columns=COLUMNS,
        frames=frames,
        nodes=["" for _ in nodes],
        edges=pairs,
        directed=False,
        places=np.stack(across, 1).astype(float).tolist(),
    )


def middle_of_grid(side: int) -> Ints:
    """Return the middle nodes of a grid with this side, row by row."""
    width = min(SIDE, side)
    first = (side - width) // 2 + np.arange(width)
    return (first[:, None] * side + first).ravel()


def neighbourhood(graph: Graph, max_nodes: int) -> Ints:
    """Return the nodes nearest to the middle one, itself first."""
    start = graph.matrix.shape[0] // 2
    return csgraph.breadth_first_order(graph.matrix, start, return_predecessors=False)[:max_nodes]


def compute_spectral_layout(graph: Graph, nodes: Ints) -> tuple[Floats, Floats]:
    """Return coordinates by the two lowest non-constant eigenvectors of the nodes' Laplacian."""
    # Weighted by the size of entries: nodes with the same neighbours must not lie on each other.
    joined = abs(graph.matrix[nodes][:, nodes]).toarray()
    np.fill_diagonal(joined, 0.0)
    _, vectors = np.linalg.eigh(np.diag(joined.sum(axis=1)) - joined)
    # Two nodes have one such way only: the other leaves them on a line.
    return vectors[:, min(1, len(nodes) - 1)], vectors[:, min(2, len(nodes) - 1)]


def list_drawn_edges(graph: Graph, kept: Bools, nodes: Ints) -> list[list[int]]:
    """Return pairs of node positions: those with an entry in the matrix, and those chosen."""
    entry = graph.values != 0
    return sorted(map(list, _in_force(graph, entry | kept, nodes)))


def _in_force(graph: Graph, kept: Bools, nodes: Ints) -> set[tuple[int, int]]:
    """Return pairs of node positions that kept edges [E] join, smaller first."""
    index = np.full(graph.matrix.shape[0], -1)
    index[nodes] = np.arange(len(nodes))
    ends = np.sort(np.stack([index[graph.rows[kept]], index[graph.columns[kept]]], 1), 1)
    return set(map(tuple, ends[ends[:, 0] >= 0].tolist()))
