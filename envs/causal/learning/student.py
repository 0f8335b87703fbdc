"""The default student: Bayesian linear regression on random Fourier features, one for each node.

All that it knows are two sums over rows, Phi^T Phi and Phi^T y, so learning is exact, independent
of the order of the rows, and the posterior variance comes with it. The features are those of Rahimi
and Recht, "Random features for large-scale kernel machines" (2007), with frequencies spread evenly
instead of drawn.

On the box where rows count, few combinations of the features differ from zero: of 32 features of
one parent about 8. So each node works with those combinations ("directions", orthonormal), which
is the same regression at a fraction of the cost.

Shapes: B copies, k nodes with parents ("slots"), n nodes, D features, P probe points, r directions
of a slot (each has its own r, so their arrays come as tuples over the slots).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, TypeVar

import numpy as np

from envs.causal.learning import roots as root_fits
from envs.causal.learning.linear import (
    REACH,
    Basis,
    Units,
    basis,
    compute_sums,
    fit,
    joint_features,
)
from envs.causal.learning.roots import Roots
from envs.causal.models.scm import Scm, evaluation_order
from envs.contract.pytree import Bools, Floats, Ints, Keys

_CHUNK = 128
"""Copies processed at a time, so that their features stay in the processor's cache."""

S = TypeVar("S")


class Student(Protocol[S]):
    """The interface of a student; its state S is a tree of arrays with leading axis B."""

    slots: Ints
    """[k]: the nodes whose mechanisms are learnt."""
    root_nodes: Ints
    """[r]: the nodes that are fitted as roots."""

    def reset(self, keys: Keys, scm: Scm) -> S:
        """Return students that know only the graph of their model, for keys [B]."""
        ...

    def learn(self, state: S, rows: Floats, chosen: Bools) -> S:
        """Return the state after rows [B, rows, n] in which the nodes chosen [B, n] were set."""
        ...

    def predict(self, state: S, x: Floats) -> Floats:
        """Return learnt means [B, k, rows] of the slots at node values x [B, rows, n]."""
        ...

    def make_target(self, scm: Scm) -> Any:
        """Return the mechanisms of models at the probe points, as squared_error takes them."""
        ...

    def squared_error(self, state: S, target: Any) -> Floats:
        """Return the mean squared error [B, k] at the probe points."""
        ...

    def uncertainty(self, state: S) -> Floats:
        """Return the uncertainty [B, k] of each slot, known without the truth."""
        ...

    def roots(self, state: S) -> Roots:
        """Return the fitted roots."""
        ...


@dataclasses.dataclass(frozen=True)
class Knowledge:
    """The knowledge of B linear students."""

    sums: tuple[Floats, ...]
    """For each slot [B, r, r + 1]: sums over rows of the directions times the directions, with the
    ridge on the diagonal, and times the node's value."""
    weights: tuple[Floats, ...]
    """For each slot [B, r]: posterior mean, solved from the sums."""
    variance: Floats
    """[B, k]: posterior variance, averaged over the probe points, in units of the noise's."""
    roots: Roots
    """The fitted roots."""


def true_means(scm: Scm, nodes: Ints, probes: Floats) -> Floats:
    """Return noiseless values [C, k, P] of nodes [k] at node values probes [P, n]."""
    means = [scm.mechanism(np.array([node]), probes[None]) for node in nodes]
    return np.stack(means, axis=1)


class BayesLinear:
    """Bayesian linear regression on D features of each node's parents."""

    def __init__(
        self,
        parents: Bools,
        probes: Floats,
        features: int,
        length_scale: float,
        ridge: float,
        units: Units | None = None,
    ) -> None:
        """Prepare the features.

        Args:
            parents: [n, n], row j marks the parents of node j.
            probes: [P, n] points at which errors and variances are averaged, in ``units``.
            features: D.
            length_scale: over which distance of the parents' values the mechanisms change.
            ridge: noise variance over prior variance of a weight.
            units: those of points and distances; None: the nodes' own.
        """
        n = len(parents)
        units = units or Units(np.zeros(n), np.ones(n))
        self.slots: Ints = np.flatnonzero(parents.any(axis=1))
        self.root_nodes: Ints = np.flatnonzero(~parents.any(axis=1))
        order = evaluation_order(parents, [str(node) for node in range(n)])
        self._in_order: Ints = np.argsort(np.argsort(order)[self.slots])
        """The slots [k], parents before children."""
        self.ridge = ridge
        self._probes, box = (
            units.to_node_units(probes),
            # The probes stretched to the reach: rows count there, although errors are measured on
            # the inner part alone.
            units.to_node_units(probes * (REACH / np.abs(probes).max())),
        )
        # In single precision like the rows, so that the ends themselves are within reach.
        ends = units.to_node_units(np.array([[-REACH], [REACH]]) * np.ones(n)).astype(np.float32)
        self._low, self._high = ends
        self.bases: tuple[Basis, ...] = tuple(
            basis(
                inputs,
                units.frequencies(joint_features(len(inputs), features, length_scale), inputs),
                self._probes,
                box,
            )
            for inputs in (np.flatnonzero(parents[node]) for node in self.slots)
        )

    def reset(self, keys: Keys, scm: Scm) -> Knowledge:
        """Return students without knowledge, for keys [B]."""
        B, ranks = len(keys), [b.rank for b in self.bases]
        # Before any row the covariance is 1 / ridge times the identity.
        prior = np.array([b.energy.sum() for b in self.bases]) / self.ridge
        return Knowledge(
            sums=tuple(np.tile(self.ridge * np.eye(r, r + 1), (B, 1, 1)) for r in ranks),
            weights=tuple(np.zeros((B, r)) for r in ranks),
            variance=np.broadcast_to(prior, (B, len(ranks))).copy(),
            roots=root_fits.empty(B, len(self.root_nodes)),
        )

    def learn(self, state: Knowledge, rows: Floats, chosen: Bools) -> Knowledge:
        """Return the knowledge after rows [B, rows, n] in which the nodes chosen [B, n] were set.

        Rows in which a node was set say nothing about its mechanism.
        """
        knowledge = Knowledge(
            # Copied, because set nodes keep their sums and are not visited below.
            sums=tuple(part.copy() for part in state.sums),
            weights=tuple(part.copy() for part in state.weights),
            variance=state.variance.copy(),
            roots=root_fits.learn(
                state.roots, rows[:, :, self.root_nodes], ~chosen[:, self.root_nodes]
            ),
        )
        # Each slot has its own rank, so slots cannot share one batched product.
        for slot, node in enumerate(self.slots.tolist()):
            taught = np.flatnonzero(~chosen[:, node])
            for first in range(0, len(taught), _CHUNK):
                copies = taught[first : first + _CHUNK]
                phi = self._compute_teaching_directions(slot, rows[copies])
                sums = compute_sums(phi, rows[copies, :, node])
                sums += state.sums[slot][copies]
                knowledge.sums[slot][copies] = sums
                knowledge.weights[slot][copies], knowledge.variance[copies, slot], _ = fit(
                    sums, self.bases[slot].energy
                )
        return knowledge

    def predict(self, state: Knowledge, x: Floats) -> Floats:
        """Return learnt means [B, k, rows] at node values x [B, rows, n]."""
        return np.stack([self._mean(state, slot, x) for slot in range(len(self.slots))], axis=1)

    def make_target(self, scm: Scm) -> tuple[Floats, ...]:
        """Return the mechanisms f as [C, r + 1] for each slot: Q^T f and the norm of the remainder.

        Here Phi = QR. The error |Rw - Q^T f|^2 + remainder^2 equals the mean square of Phi w - f at
        a fraction of the cost, and never goes below zero by rounding.
        """
        f = true_means(scm, self.slots, self._probes) / np.sqrt(len(self._probes))
        targets: list[Floats] = []
        for slot, b in enumerate(self.bases):
            projected = f[:, slot] @ b.probe_basis
            # No weights can reach the remainder: a floor of the error, the same in every step.
            remainder = f[:, slot] - projected @ b.probe_basis.T
            length = np.linalg.norm(remainder, axis=-1, keepdims=True)
            targets.append(np.concatenate((projected, length), axis=-1))
        return tuple(targets)

    def squared_error(self, state: Knowledge, target: tuple[Floats, ...]) -> Floats:
        """Return the mean squared error [B, k] at the probe points, for targets [C, r + 1]."""
        errors: list[Floats] = []
        for b, weights, goal in zip(self.bases, state.weights, target, strict=True):
            learnt = (b.probe_factor @ weights[..., None])[..., 0]
            gap = learnt - goal[:, :-1]
            errors.append(np.vecdot(gap, gap) + np.square(goal[:, -1]))
        return np.stack(errors, axis=1)

    def uncertainty(self, state: Knowledge) -> Floats:
        """Return the mean posterior variance [B, k] at the probe points (unit: the noise's)."""
        return state.variance

    def roots(self, state: Knowledge) -> Roots:
        """Return the fitted roots."""
        return state.roots

    def expected_variance(
        self, state: Knowledge, noise: Floats, chosen: Bools, values: Floats
    ) -> Floats:
        """Return the sum over slots [B] of the variance expected after rows under an intervention.

        The rows are imagined: roots from their fitted Gaussians with noise [B, rows, n], other
        nodes at the student's means; nodes chosen [B, n] have the values [B, n].
        """
        B, R, n = noise.shape
        x = np.zeros((B, R, n))
        x[:, :, self.root_nodes] = (
            state.roots.mean[:, None]
            + np.sqrt(state.roots.variance)[:, None] * noise[:, :, self.root_nodes]
        )
        x = np.where(chosen[:, None], values[:, None], x)
        for slot in self._in_order.tolist():
            node, means = self.slots[slot], self._mean(state, slot, x)
            x[:, :, node] = np.where(chosen[:, node, None], values[:, node, None], means)
        # The posterior variance of a linear model depends on the inputs alone, so imagined values
        # suffice.
        return self.learn(state, x, chosen).variance.sum(axis=1)

    def _mean(self, state: Knowledge, slot: int, x: Floats) -> Floats:
        b = self.bases[slot]
        return (b.directions(x[..., b.parents]) @ state.weights[slot][..., None])[..., 0]

    def _compute_teaching_directions(self, slot: int, rows: Floats) -> Floats:
        """Return directions [b, rows, r] of a slot in rows [b, rows, n].

        They are 0 for rows with a parent out of reach.
        """
        b = self.bases[slot]
        x = rows[:, :, b.parents]
        phi = b.directions(x)
        far = (x < self._low[b.parents]) | (x > self._high[b.parents])
        # Zero rows add nothing to the sums, and all copies keep equal shapes.
        phi[far.any(axis=-1)] = 0
        return phi
