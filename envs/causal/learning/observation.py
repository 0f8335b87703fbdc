"""The observation of CausalLearning: figures of each node, the graph, and the time.

Nothing here uses the truth: the excess risk would be an oracle that no experimenter has.
"""

from __future__ import annotations

import numpy as np

from envs.causal.learning.family_student import PARTS, FamilyStudent
from envs.causal.learning.state import State, Task
from envs.contract.pytree import Array, Floats, Ints

BINS = 7
"""Number of equal parts of a domain in which the values set on a node are counted."""
FEATURES = BINS + 4
"""Figures of each node: its histogram, the share of all choices, the uncertainty of its student,
whether it is a root, and whether it is a leaf."""
FAMILY_FEATURES = FEATURES + PARTS
"""In families also the uncertainty about its children by the node's value: where models differ, a
policy cannot memorise which values to set."""
_SURE = 1e-4
"""Variances below this count as equal."""


class ValueHistogram:
    """Counts [B, n, BINS] of the values that nodes were set to."""

    @staticmethod
    def empty(copies: int, nodes: int) -> Floats:
        """Return zero counts."""
        return np.zeros((copies, nodes, BINS))

    @staticmethod
    def add(histogram: Floats, node: Ints, position: Floats) -> Floats:
        """Return the counts after nodes [B] were set at positions [B] in [-1, 1]."""
        histogram = histogram.copy()
        # The position 1 itself belongs to the last part.
        part = np.minimum((position + 1) / 2 * BINS, BINS - 1).astype(np.int64)
        histogram[np.arange(len(node)), node, part] += 1
        return histogram


def observe(task: Task, state: State) -> dict[str, Array]:
    """Return the batched observation of a state, float32, about unit scale.

    ``nodes`` [B, n, FEATURES or FAMILY_FEATURES], ``parents`` [B, n, n] (row i marks the parents
    of i), ``mask`` [B, n] (1 where a node may be set now), ``context`` [B, 2] (time gone, left).
    All figures of fillers are 0.
    """
    problem = task.get_problem(state)
    parents, real = problem.parents, problem.scm.real
    B, n, _ = state.histogram.shape
    student = task.student
    features = FAMILY_FEATURES if isinstance(student, FamilyStudent) else FEATURES
    nodes = np.empty((B, n, features), np.float32)
    share = state.histogram / problem.horizon[:, None, None]
    nodes[:, :, :BINS] = share
    nodes[:, :, BINS] = share.sum(axis=2)
    # Variances fall by orders of magnitude in an episode; the logarithm keeps them near unit scale.
    unsure = np.maximum(uncertainty(task, state), 1e-9)
    nodes[:, :, BINS + 1] = np.minimum(np.log10(unsure) / 2, 10)
    nodes[:, :, BINS + 2] = ~parents.any(axis=2)
    nodes[:, :, BINS + 3] = ~parents.any(axis=1)
    if isinstance(student, FamilyStudent):
        unsure = student.where_unsure(state.student)
        nodes[:, :, FEATURES:] = np.log10(np.maximum(unsure, _SURE)) / 2
    nodes *= real[:, :, None]
    gone = state.step / problem.horizon
    return {
        "nodes": nodes,
        "parents": np.broadcast_to(parents, (B, n, n)).astype(np.float32),
        "mask": np.broadcast_to(task.compute_mask(state), (B, n)).astype(np.float32),
        "context": np.stack((gone, 1 - gone), axis=1).astype(np.float32),
    }


def uncertainty(task: Task, state: State) -> Floats:
    """Return the uncertainty about each node [B, n], known without the truth; 0 for fillers."""
    student = task.student
    unsure = np.zeros(state.histogram.shape[:2])
    unsure[:, student.slots] = student.uncertainty(state.student)
    # The mean of m rows of unit variance has variance 1 / m; one row is imagined, as in the fit.
    of_roots = 1 / (1 + student.roots(state.student).count)
    unsure[:, student.root_nodes] += task.get_problem(state).truth.is_root * of_roots
    return unsure
