"""Bayesian linear regression where every copy has a graph of its own.

The same regression as in :mod:`envs.causal.learning.student`, but features belong to a number of
parents instead of a node, so that all nodes of all copies that have equally many are learnt in the
same few operations. The parents count in their order of evaluation, so renumbering the nodes of a
copy changes nothing.

Shapes: B copies, n nodes, p parents, P probe points, r directions (those of the most parents; nodes
with fewer use the first ones), m nodes of any copies with as many parents.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from envs.causal.learning import roots as root_fits
from envs.causal.learning.linear import REACH, Basis, Units, basis, compute_sums, fit, one_thread
from envs.causal.learning.roots import Roots
from envs.causal.models.scm import Scm, column, put_column
from envs.contract.pytree import Bools, Floats, Ints, Keys, take

PARTS = 7
"""Number of equal parts of the probe points' range into which the uncertainty is divided."""
_CHUNK = 128
"""Nodes processed at a time, so that their features stay in the processor's cache."""


@dataclasses.dataclass(frozen=True)
class KnownGraph:
    """The graph of a copy, which its student knows from the beginning."""

    order: Ints
    """[B, n]: the nodes in an order in which they can be evaluated."""
    inputs: Ints
    """[B, n, p]: the parents of each node in that order, then any others."""
    degree: Ints
    """[B, n]: how many parents each node has."""


@dataclasses.dataclass(frozen=True)
class FamilyKnowledge:
    """The knowledge of B students."""

    graph: KnownGraph
    """Who is whose parent."""
    sums: Floats
    """[B, n, r, r + 1]: sums over rows of the directions times the directions, with the ridge on
    the diagonal, and times the node's value."""
    weights: Floats
    """[B, n, r]: posterior mean, solved from the sums."""
    variance: Floats
    """[B, n]: posterior variance, averaged over the probe points, in units of the noise's."""
    local: Floats
    """[B, n, p, PARTS]: that of the mean over the probe points where a parent lies in a part."""
    roots: Roots
    """A Gaussian for every node, of which only those of roots are its mechanism."""


class FamilyStudent:
    """Bayesian linear regression on features of each node's parents."""

    @one_thread
    def __init__(
        self,
        nodes: int,
        features: Callable[[int], Floats],
        probes: Floats,
        ridge: float,
        units: Units | None = None,
    ) -> None:
        """Prepare the features.

        Args:
            nodes: n.
            features: frequencies and phases for a number of parents (:mod:`.linear`).
            probes: [P, p] points at which errors and variances are averaged, where p is the most
                parents that a node has; others use as many columns as they have parents.
            ridge: noise variance over prior variance of a weight.
            units: those of probes and features; None: the nodes' own.
        """
        # Every node is a slot and a root: which one it is differs from copy to copy.
        self.slots: Ints = np.arange(nodes)
        self.root_nodes: Ints = self.slots
        self.ridge = ridge
        self._probes, self._units = probes, units
        box = probes * (REACH / np.abs(probes).max())
        # One basis for each number of parents from 1 on, shared by all nodes of all copies.
        self.bases: tuple[Basis, ...] = tuple(
            basis(np.arange(p), features(p), probes, box) for p in range(1, probes.shape[1] + 1)
        )
        self._local = tuple(_local_means(b, probes) for b in self.bases)
        self._rank = max(b.rank for b in self.bases)

    def reset(self, keys: Keys, scm: Scm) -> FamilyKnowledge:
        """Return students that know only the graphs of models, one for all or one per copy."""
        graph = self._graph(scm)
        # One shared model: repeat its graph, so that all arrays have the batch axis.
        if len(graph.order) < len(keys):
            graph = take(graph, np.zeros(len(keys), np.int64))
        B, n, p = graph.inputs.shape
        r, energies = self._rank, [b.energy.sum() for b in self.bases]
        return FamilyKnowledge(
            graph=graph,
            sums=np.tile(self.ridge * np.eye(r, r + 1), (B, n, 1, 1)),
            weights=np.zeros((B, n, r)),
            # Indexed by the number of parents: roots have no mechanism and no variance.
            variance=np.array([0.0, *energies])[graph.degree] / self.ridge,
            local=np.broadcast_to(
                (np.arange(p) < graph.degree[:, :, None])[..., None] / self.ridge,
                (B, n, p, PARTS),
            ).copy(),
            roots=root_fits.empty(B, n),
        )

    def learn(self, state: FamilyKnowledge, rows: Floats, chosen: Bools) -> FamilyKnowledge:
        """Return the knowledge after rows [B, rows, n] in which the nodes chosen [B, n] were set.

        Rows in which a node was set say nothing about its mechanism, and nor do rows in which a
        parent lies out of reach.
        """
        knowledge = FamilyKnowledge(
            graph=state.graph,
            # Copied, because set nodes keep their sums and are not visited below.
            sums=state.sums.copy(),
            weights=state.weights.copy(),
            variance=state.variance.copy(),
            local=state.local.copy(),
            roots=root_fits.learn(state.roots, rows, ~chosen),
        )
        values = _by_node(rows)
        # Nodes with equally many parents share one basis, so a group of any copies' nodes is one
        # batched regression: features, sums and a Cholesky solve.
        for p, copy, node in self._groups(state.graph, ~chosen):
            b = self.bases[p - 1]
            x = self._parents(values, state.graph, copy, node, p)
            phi = b.directions(x)
            # Zero rows add nothing to the sums: the row is left out without changing shapes.
            phi[(np.abs(x) > REACH).any(axis=-1)] = 0
            sums = compute_sums(phi, values[copy, node])
            sums += state.sums[copy, node, : b.rank, : b.rank + 1]
            knowledge.sums[copy, node, : b.rank, : b.rank + 1] = sums
            weights, variance, factor = fit(sums, b.energy)
            knowledge.weights[copy, node, : b.rank] = weights
            knowledge.variance[copy, node] = variance
            # With covariance F^T F, the variance of the mean over a part is |F m|^2 for its mean
            # direction m.
            local = np.square(factor @ self._local[p - 1]).sum(axis=1)
            knowledge.local[copy, node, :p] = local.reshape(-1, p, PARTS)
        return knowledge

    def predict(self, state: FamilyKnowledge, x: Floats) -> Floats:
        """Return learnt means [B, n, rows] at node values x [B, rows, n]; 0 for roots."""
        values = _by_node(x)
        return self._means(state, values, np.ones(values.shape[:2], np.bool_))

    def make_target(self, scm: Scm) -> Floats:
        """Return the mechanisms f as [C, n, r + 1]: Q^T f and the norm of the remainder.

        See :meth:`envs.causal.learning.student.BayesLinear.target`.
        """
        graph, P = self._graph(scm), len(self._probes)
        targets = np.zeros((*graph.degree.shape, self._rank + 1))
        for p, copy, node in self._groups(graph, np.ones(graph.degree.shape, np.bool_)):
            b = self.bases[p - 1]
            x = np.zeros((len(copy), P, scm.nodes), np.float32)
            for slot in range(p):
                parent = graph.inputs[copy, node, slot]
                points = np.broadcast_to(self._probes[:, slot], (len(copy), P))
                if self._units:
                    middle, size = self._units.middle[parent], self._units.size[parent]
                    points = middle[:, None] + points * size[:, None]
                # The parent's column differs from copy to copy.
                put_column(x, parent, points)
            f = _mechanisms(scm, copy, node, x) / np.sqrt(P)
            # One product for each node, whose rounding does not depend on how many there are.
            projected = f[:, None] @ b.probe_basis
            remainder = f - (projected @ b.probe_basis.T)[:, 0]
            targets[copy, node, : b.rank] = projected[:, 0]
            targets[copy, node, -1] = np.linalg.norm(remainder, axis=-1)
        return targets

    def squared_error(self, state: FamilyKnowledge, target: Floats) -> Floats:
        """Return the mean squared error [B, n] at the probe points, for targets [C, n, r + 1]."""
        target = np.broadcast_to(target, (len(state.sums), *target.shape[1:]))
        errors = np.square(target[:, :, -1])
        for p, copy, node in self._groups(state.graph, np.ones(errors.shape, np.bool_)):
            b = self.bases[p - 1]
            learnt = b.probe_factor @ state.weights[copy, node, : b.rank, None]
            gap = learnt[..., 0] - target[copy, node, : b.rank]
            errors[copy, node] += np.square(gap).sum(axis=-1)
        return errors

    def uncertainty(self, state: FamilyKnowledge) -> Floats:
        """Return the mean posterior variance [B, n] at the probe points (unit: the noise's)."""
        return state.variance

    def where_unsure(self, state: FamilyKnowledge) -> Floats:
        """Return the uncertainty about each node's children [B, n, PARTS], by the node's value."""
        B, n, p = state.graph.inputs.shape
        unsure = np.zeros((B, n, PARTS))
        for slot in range(p):
            copy, child = np.nonzero(state.graph.degree > slot)
            parent = state.graph.inputs[copy, child, slot]
            # add.at, because a node may be the parent of several children; plain indexing would add
            # one only.
            np.add.at(unsure, (copy, parent), state.local[copy, child, slot])
        return unsure

    def roots(self, state: FamilyKnowledge) -> Roots:
        """Return the fitted Gaussians."""
        return state.roots

    def expected_variance(
        self, state: FamilyKnowledge, noise: Floats, chosen: Bools, values: Floats
    ) -> Floats:
        """Return the sum over nodes [B] of the variance expected after rows under an intervention.

        See :meth:`envs.causal.learning.student.BayesLinear.expected_variance`.
        """
        mean, deviation = state.roots.mean[:, None], np.sqrt(state.roots.variance)[:, None]
        x = np.where(chosen[:, None], values[:, None], mean + deviation * noise)
        every = np.arange(len(x))
        # In evaluation order, column by column: the node differs from copy to copy, but parents
        # always come before it.
        for node in state.graph.order.T:
            imagined = (state.graph.degree[every, node] > 0) & ~chosen[every, node]
            which = np.zeros(chosen.shape, np.bool_)
            which[every, node] = imagined
            means = self._means(state, _by_node(x), which)[every, node]
            put_column(x, node, np.where(imagined[:, None], means, column(x, node)))
        return self.learn(state, x, chosen).variance.sum(axis=1)

    def _parents(
        self, values: Floats, graph: KnownGraph, copy: Ints, node: Ints, count: int
    ) -> Floats:
        """Return the parents' values [m, rows, p] of nodes [m] of copies [m]."""
        parents = graph.inputs[copy, node, :count]
        x = np.swapaxes(values[copy[:, None], parents], 1, 2)
        if not self._units:
            return x
        x = (x - self._units.middle[parents][:, None]) / self._units.size[parents][:, None]
        return x.astype(np.float32)  # of the rows: the ends themselves are within reach

    def _graph(self, scm: Scm) -> KnownGraph:
        parents, position = scm.parents, np.argsort(scm.order, axis=1)
        # Non-parents sort behind all parents; the parents come in evaluation order, so that
        # renumbering the nodes changes nothing.
        places = np.where(parents, position[:, None], scm.nodes)
        inputs = np.argsort(places, axis=2)[:, :, : len(self.bases)]
        return KnownGraph(scm.order, inputs, parents.sum(axis=2))

    def _groups(self, graph: KnownGraph, which: Bools) -> Iterator[tuple[int, Ints, Ints]]:
        """Yield the marked nodes by number of parents: that number, copies [m] and nodes [m]."""
        for p in range(1, len(self.bases) + 1):
            copy, node = np.nonzero(which & (graph.degree == p))
            for first in range(0, len(copy), _CHUNK):
                yield p, copy[first : first + _CHUNK], node[first : first + _CHUNK]

    def _means(self, state: FamilyKnowledge, values: Floats, which: Bools) -> Floats:
        """Return learnt means [B, n, rows] of the marked nodes from values [B, n, rows], else 0."""
        means = np.zeros(values.shape)
        for p, copy, node in self._groups(state.graph, which):
            b = self.bases[p - 1]
            phi = b.directions(self._parents(values, state.graph, copy, node, p))
            means[copy, node] = (phi @ state.weights[copy, node, : b.rank, None])[..., 0]
        return means


def _mechanisms(scm: Scm, copy: Ints, node: Ints, x: Floats) -> Floats:
    """Return the noiseless values [m, rows] of nodes [m] of copies [m] at values x [m, rows, n]."""
    if len(scm.order) > 1:
        return take(scm, copy).mechanism(node, x)
    # One model, whose nodes may be anything: formulas, tables.
    return np.concatenate([scm.mechanism(node[i : i + 1], x[i : i + 1]) for i in range(len(node))])


def _by_node(rows: Floats) -> Floats:
    """Transpose rows [B, rows, n] to [B, n, rows]."""
    return np.ascontiguousarray(np.swapaxes(rows, 1, 2))


def _local_means(b: Basis, probes: Floats) -> Floats:
    """Return mean directions [r, p * PARTS] at the probe points with one parent in one part."""
    width = np.abs(probes).max()
    part = np.clip((probes + width) / (2 * width) * PARTS, 0, PARTS - 1).astype(np.int64)
    phi = b.directions(probes[:, b.parents]).astype(float)
    means = [phi[part[:, parent] == k].mean(axis=0) for parent in b.parents for k in range(PARTS)]
    return np.stack(means, axis=1)
