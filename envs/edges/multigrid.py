"""The objective ``multigrid``: chosen edges are the strength of connection of a hierarchy by PyAMG.

The reward is ln(s / s_reference), s = reduction / cycle complexity: the residual reduction of one
iteration of conjugate gradients per work of one V-cycle. Iterations alone would reward a hierarchy
that coarsens nothing. The reference is PyAMG's default on the same instance.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy import sparse

from envs.contract import counter_rng
from envs.contract.pytree import Bools, Floats, Keys
from envs.edges.graph import Graph
from envs.edges.instances import Matrix
from envs.edges.krylov import TOLERANCE, Quality, quality
from envs.edges.reproducible import reproducible
from rungwise.optional_imports import import_extra

Builder: TypeAlias = Literal["smoothed_aggregation", "root_node"]
Reward: TypeAlias = Literal["work", "vcycle_energy", "pcg_residual"]
CLIP = 3.0
"""Bound of the reward; a hierarchy that cannot be built or fails gets its negative."""
ORIGINAL_FAILURE = -5.0
SETTINGS = {"max_coarse": 50, "coarse_solver": "splu"}
"""Settings common to all hierarchies, so that they differ only by their edges."""
LARGEST_COARSE = 500
"""Nodes of the coarsest level beyond which a hierarchy counts as failed."""
# The post-mortem's penalty begins at this operator complexity; kept for comparison.
_COMPLEXITY = 1.35
_SIDES = 3
_ENERGY_VECTORS, _ENERGY_SWEEPS = 6, 25
_FAILURES = (ValueError, RuntimeError, ArithmeticError, IndexError, np.linalg.LinAlgError)


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """A multigrid hierarchy and its cost."""

    solver: Any
    """PyAMG's ``MultilevelSolver``."""
    cycle_complexity: float
    """Work of one V-cycle, in products with A."""
    operator_complexity: float
    """Entries of the matrices of all levels over those of A."""
    setup_seconds: float
    """Time to build it."""


def build_hierarchy(A: Matrix, builder: str, strength: Any) -> Hierarchy:
    """Build a hierarchy; ``strength`` is PyAMG's (a name, a pair, or a list of one per level)."""
    pyamg: Any = import_extra("pyamg", "edges")
    make = {
        "smoothed_aggregation": pyamg.smoothed_aggregation_solver,
        "root_node": pyamg.rootnode_solver,
        "ruge_stuben": pyamg.ruge_stuben_solver,
    }[builder]
    start = time.perf_counter()
    with warnings.catch_warnings(), reproducible():
        # PyAMG warns about formats it converts by itself.
        warnings.simplefilter("ignore")
        solver = make(A, strength=strength, **SETTINGS)
        complexity = float(solver.cycle_complexity("V"))
    seconds = time.perf_counter() - start
    return Hierarchy(solver, complexity, float(solver.operator_complexity()), seconds)


def make_pattern(graph: Graph, chosen: Bools) -> Matrix:
    """Return the strength of connection C [N, N] of chosen edges [E]: symmetric ones."""
    n = graph.matrix.shape[0]
    rows, columns, diagonal = graph.rows[chosen], graph.columns[chosen], np.arange(n)
    # C = S + S^T + I, as in the post-mortem, whatever directions were chosen.
    places = np.concatenate([rows, columns, diagonal]), np.concatenate([columns, rows, diagonal])
    C: Matrix = sparse.coo_array((np.ones(len(places[0])), places), shape=(n, n)).tocsr()
    # Both directions of an edge may be chosen; duplicates were summed to 2.
    C.data[:] = 1.0
    C.indices, C.indptr = C.indices.astype(np.int32), C.indptr.astype(np.int32)
    return C


def make_strength(C: Matrix) -> list[Any]:
    """Return PyAMG's ``strength``: a pattern C on the finest level, evolution below."""
    # Evolution below, because the default measure there leaves less to gain on the finest level.
    return [("predefined", {"C": C}), "evolution"]


def format_pyamg_call(builder: Builder) -> str:
    """Return the PyAMG call that builds the hierarchy of a pattern C on a matrix A."""
    name = {"smoothed_aggregation": "smoothed_aggregation_solver", "root_node": "rootnode_solver"}
    strength = "[('predefined', {'C': C}), 'evolution']"
    settings = ", ".join(f"{field}={value!r}" for field, value in SETTINGS.items())
    return f"pyamg.{name[builder]}(A, strength={strength}, {settings})"


def right_hand_sides(nodes: int, key: Keys) -> Floats:
    """Draw the normal right-hand sides [3, N] of one key [1]."""
    return counter_rng.normal(key, (_SIDES, nodes))[0].astype(np.float64)


def measure_hierarchy(
    A: Matrix, made: Hierarchy, sides: Floats, solve: bool
) -> tuple[Quality, float]:
    """Measure a hierarchy's quality, and its work for each digit in products with A."""
    measured = quality(A, sides, made.solver.aspreconditioner("V").matvec, solve)
    # Iterations per digit times the work of a cycle: fast convergence by an expensive hierarchy is
    # no gain.
    return measured, measured.iterations / -np.log10(TOLERANCE) * made.cycle_complexity


def work_score(measured: Quality, made: Hierarchy) -> float:
    """Compute s = reduction of an iteration / work of a cycle; not positive on divergence."""
    return measured.reduction / made.cycle_complexity


def try_build_hierarchy(A: Matrix, builder: Builder, C: Matrix) -> Hierarchy | None:
    """Build the hierarchy of a pattern; None where PyAMG cannot build one that coarsens."""
    try:
        made = build_hierarchy(A, builder, make_strength(C))
    except _FAILURES:
        return None
    # PyAMG solves the coarsest system exactly, at a price that no complexity counts.
    return made if made.solver.levels[-1].A.shape[0] <= LARGEST_COARSE else None


def work_reward(score: float, reference: float) -> float:
    """Compute ln(s / s_reference), clipped to [-3, 3]; -3 where s is not positive."""
    # The logarithm needs a positive score; divergence gets the bound.
    if not (np.isfinite(score) and score > 0):
        return -CLIP
    return float(np.clip(np.log(score / reference), -CLIP, CLIP))


def energy_reward(A: Matrix, made: Hierarchy, key: Keys) -> float:
    """Compute the original's ``vcycle_energy_reduction``: -mean ln(|e_1|_A^2/|e_0|_A^2) - penalty.

    e_0: 6 random vectors after 25 Jacobi sweeps (2/3) on A e = 0; e_1: after one V-cycle. The
    penalty is what the operator complexity exceeds 1.35 by.
    """
    # Smoothed first: the cycle should be judged on errors that relaxation leaves behind.
    e = counter_rng.normal(key, (A.shape[0], _ENERGY_VECTORS))[0].astype(np.float64)
    weight = (2 / 3) / A.diagonal()[:, None]
    for _ in range(_ENERGY_SWEEPS):
        e = e - weight * (A @ e)
    cycle = made.solver.aspreconditioner("V").matvec
    after = e - np.stack([cycle(r) for r in (A @ e).T], 1)
    ratio = (after * (A @ after)).sum(axis=0) / (e * (A @ e)).sum(axis=0)
    return float(-np.log(np.maximum(ratio, 1e-12)).mean()) - _penalty(made)


def residual_reward(measured: Quality, made: Hierarchy) -> float:
    """Compute the original's ``pcg_residual_reduction``: ln(|r_0| / |r_5|) / 5 - penalty."""
    return measured.reduction - _penalty(made)


def _penalty(made: Hierarchy) -> float:
    return max(0.0, made.operator_complexity - _COMPLEXITY)
