"""The problem of an episode of CausalOptimisation: a model, a target, and its optimum.

All of this is the truth, from which scores and rewards are computed and no observation is.
Expectations are means over one fixed set of noise rows, spread evenly and in pairs of opposite
sign: exact for linear models, free of the luck of a draw for all, and the same for every
intervention, so that differences between interventions are precise.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from envs.causal.models.scm import AdditiveScm, Scm
from envs.contract import counter_rng
from envs.contract.pytree import Bools, Floats, Ints, take

GRID = 21
"""Values of each domain, ends included, among which the optimum of a drawn model is sought."""
FINE_GRID = 401
"""The same for a model that is solved once."""
SCREENING, _FINALISTS = 8, 8
"""Noise rows on which every single intervention of drawn models is tried, and how many are then
tried on all rows."""
_AT_ONCE = 2**25
"""Largest number of values computed together, to bound memory."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """B targets to be driven down, among N nodes of which the first n are seen."""

    scm: Any
    """The models (C = B), or () where all copies share the world's."""
    target: Ints
    """[B]: the node to be driven down."""
    allowed: Bools
    """[B, n]: which nodes may be set."""
    real: Bools
    """[B, n]: which nodes there are; others fill up smaller models."""
    parents: Bools
    """[B, n, n]: row j marks the parents of node j among the seen nodes."""
    low: Floats
    """[B, n]: the smallest value that each node may be set to."""
    high: Floats
    """[B, n]: the largest."""
    base: Floats
    """[B]: the target's expectation without an intervention."""
    spread: Floats
    """[B]: its standard deviation without an intervention."""
    optimum: Floats
    """[B]: its expectation under the best single intervention of a grid."""
    best_node: Ints
    """[B]: the node that this intervention sets."""
    best_position: Floats
    """[B]: where in its domain, from -1 to 1."""
    member: Ints
    """[B]: which model of a pool it is, counted from 1; 0 if it is of none."""

    def normalise(self, y: Floats) -> Floats:
        """Scale targets [B, ...] to 0 at the base and 1 at the optimum.

        A target that no intervention lowers by a fifth of its spread is measured in such fifths.
        """
        scale = np.maximum(self.base - self.optimum, 0.2 * self.spread)
        shape = (-1, *(1 for _ in y.shape[1:]))
        return (self.base.reshape(shape) - y) / scale.reshape(shape)


def noise_rows(rows: int, nodes: int) -> Floats:
    """Return even standard normal noise [rows, nodes] in pairs of opposite sign; rows even."""
    # Opposite signs make odd moments vanish exactly, so linear models have exact means.
    half = counter_rng.normal_quantiles(counter_rng.low_discrepancy(rows // 2, nodes))
    half /= np.sqrt(np.mean(half**2, axis=0))  # the few rows have variance 1 exactly
    return np.stack((half, -half), axis=1).reshape(-1, nodes).astype(np.float32)


def solve_problem(
    scm: Scm, target: Ints, allowed: Bools, noise: Floats, grid: int, screening: int
) -> Problem:
    """Find the best single interventions of models (C = B) with targets [B].

    Every intervention on an ancestor of the target is tried on the first ``screening`` rows of the
    noise [rows, N], and the best of each copy on all of them.
    """
    B, n = allowed.shape
    every, parents = np.arange(B), scm.parents
    nothing = np.zeros((B, scm.nodes))
    natural = simulate_target(scm, target, nothing > 0, nothing, noise)
    base = natural.mean(axis=1)
    # Nodes that are no ancestors cannot move the target: they keep the base without being
    # simulated.
    expectations = np.repeat(base, n * grid).reshape(B, n, grid)
    copy, node = np.nonzero(allowed & find_ancestors(parents)[every, target, :n])
    fraction = np.broadcast_to(np.linspace(0, 1, grid), (len(copy), grid))
    expectations[copy, node] = _try_single_interventions(
        scm, target, copy, node, fraction, noise[:screening]
    )
    expectations = np.where(allowed[:, :, None], expectations, np.inf).reshape(B, n * grid)
    # Screening on few rows, then the exact expectation of the finalists alone.
    finalists = np.argpartition(expectations, _FINALISTS)[:, :_FINALISTS]
    copy, flat = np.repeat(every, _FINALISTS), finalists.ravel()
    fraction = (flat % grid / (grid - 1))[:, None]
    exact = _try_single_interventions(scm, target, copy, flat // grid, fraction, noise).reshape(
        B, _FINALISTS
    )
    best = finalists[every, exact.argmin(axis=1)]
    return Problem(
        scm=scm,
        target=target,
        allowed=allowed,
        real=scm.real[:, :n],
        parents=parents[:, :n, :n],
        low=scm.low[:, :n],
        high=scm.high[:, :n],
        base=base,
        spread=natural.std(axis=1),
        optimum=exact.min(axis=1),
        best_node=best // grid,
        best_position=2 * (best % grid) / (grid - 1) - 1,
        member=np.zeros(B, np.int64),
    )


def simulate_target(scm: Scm, target: Ints, chosen: Bools, values: Floats, noise: Floats) -> Floats:
    """Simulate targets [B] over noise [rows, N] when chosen nodes are set: [B, rows].

    Chosen [B, N] and values [B, N] are as in :meth:`Scm.sample`.
    """
    B = len(target)
    rows = scm.sample(np.broadcast_to(noise, (B, *noise.shape)), chosen, values)
    return rows[np.arange(B), :, target].astype(np.float64)


def _try_single_interventions(
    scm: Scm, target: Ints, copy: Ints, node: Ints, fraction: Floats, noise: Floats
) -> Floats:
    """Return expectations [M, K] in copies [M] when nodes [M] are set at fractions [M, K]."""
    (M, K), each = fraction.shape, np.arange(len(fraction))
    # Halved recursively, so that memory stays bounded for any number of copies.
    if M > 1 and M * K * noise.size > _AT_ONCE:
        halves = (slice(None, M // 2), slice(M // 2, None))
        parts = (
            _try_single_interventions(scm, target, copy[h], node[h], fraction[h], noise)
            for h in halves
        )
        return np.concatenate(list(parts))
    low, high = scm.low[copy, node, None], scm.high[copy, node, None]
    values = low + fraction * (high - low)
    if not isinstance(scm, AdditiveScm):
        chosen = np.arange(scm.nodes) == np.repeat(node, K)[:, None]
        outcomes = simulate_target(
            scm, np.repeat(target[copy], K), chosen, chosen * values.reshape(-1, 1), noise
        )
        return outcomes.mean(axis=1).reshape(M, K)
    # A node that is set is one without inputs whose noise is the value. That may differ from row to
    # row, so that a whole grid takes one pass.
    scm = take(scm, copy)
    new = {"weights": 0, "outside": 0, "offset": 0, "shape": 0, "shift": 0, "scale": 1, "noise": 1}
    for name, number in new.items():
        getattr(scm, name)[each, node] = number  # arrays of our own: take has copied them
    rows = np.tile(noise, (M, K, 1))
    # Row r of grid value k carries the value in place of the node's noise.
    rows[each, :, node] = np.repeat(values, len(noise), axis=1)
    nothing = np.zeros((M, scm.nodes))
    outcomes = scm.sample(rows, nothing > 0, nothing)[each, :, target[copy]]
    return outcomes.reshape(M, K, -1).mean(axis=2, dtype=np.float64)


def find_ancestors(parents: Bools) -> Bools:
    """Return which nodes are ancestors of which [B, n, n], from parents [B, n, n]."""
    # Float, because boolean matrix products are not accelerated by BLAS.
    reached = parents.astype(np.float32)
    # Squaring doubles the length of the paths covered.
    for _ in range((parents.shape[1] - 1).bit_length()):
        reached = np.minimum(reached + reached @ reached, 1)
    return reached > 0
