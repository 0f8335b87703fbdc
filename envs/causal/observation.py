"""What an agent sees of the causal worlds: figures of each node, the graph, and the time.

Nothing here uses the truth: an agent that saw the excess risk would have an oracle that no
experimenter has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from envs.arrays import Array, Floats, Ints

if TYPE_CHECKING:
    from envs.causal.learning import CausalLearning, State

BINS = 7
"""Into how many equal parts of its domain the values set on a node are counted."""
FEATURES = BINS + 4
"""Figures of each node: its histogram, the share of all choices, the uncertainty of its student,
whether it is a root, and whether it is a leaf."""


class ValueHistogram:
    """Counts [B, n, BINS] of the values that nodes were set to."""

    @staticmethod
    def empty(copies: int, nodes: int) -> Floats:
        """No counts yet."""
        return np.zeros((copies, nodes, BINS))

    @staticmethod
    def add(histogram: Floats, node: Ints, position: Floats) -> Floats:
        """Counts with nodes [B] set at positions [B] in [-1, 1] added."""
        histogram = histogram.copy()
        part = np.minimum((position + 1) / 2 * BINS, BINS - 1).astype(np.int64)
        histogram[np.arange(len(node)), node, part] += 1
        return histogram


def observe(world: CausalLearning, state: State) -> dict[str, Array]:
    """The batched observation of a state; float32, about unit scale.

    ``nodes`` [B, n, FEATURES], ``parents`` [B, n, n] (row i marks the parents of i), ``mask``
    [B, n] (1 where a node may be set), ``context`` [B, 2] (time gone, time left).
    """
    B, n, _ = state.histogram.shape
    nodes = np.empty((B, n, FEATURES), np.float32)
    share = state.histogram / world.params.interventions
    nodes[:, :, :BINS] = share
    nodes[:, :, BINS] = share.sum(axis=2)
    nodes[:, :, BINS + 1] = _log_uncertainty(world, state)
    nodes[:, :, BINS + 2] = ~world.parents.any(axis=1)
    nodes[:, :, BINS + 3] = ~world.parents.any(axis=0)
    gone = state.step / world.params.interventions
    return {
        "nodes": nodes,
        "parents": np.broadcast_to(world.parents, (B, n, n)).astype(np.float32),
        "mask": np.ones((B, n), np.float32),
        "context": np.stack((gone, 1 - gone), axis=1).astype(np.float32),
    }


def _log_uncertainty(world: CausalLearning, state: State) -> Floats:
    """Half the decimal logarithm [B, n] of each node's uncertainty, within the space's bounds."""
    has_parents = world.parents.any(axis=1)
    unsure = np.empty(state.histogram.shape[:2])
    unsure[:, has_parents] = world.student.uncertainty(state.student)
    # The mean of m rows of unit variance has variance 1 / m; one row is imagined, as in the fit.
    unsure[:, ~has_parents] = 1 / (1 + world.student.roots(state.student).count)
    return np.clip(np.log10(np.maximum(unsure, 1e-9)) / 2, -10, 10)
