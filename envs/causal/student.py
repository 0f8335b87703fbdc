"""The default student: Bayesian linear regression on random Fourier features, one for each node.

Its whole knowledge is a sum over rows (``gram`` = Phi^T Phi, ``moment`` = Phi^T y), so learning is
exact, independent of the order of the rows, and the posterior variance comes with it. The features
are those of Rahimi and Recht, "Random features for large-scale kernel machines" (2007), with
frequencies spread evenly instead of drawn.

Shapes: B copies, k nodes with parents ("slots"), n nodes, D features, P probe points.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol, TypeVar

import numpy as np

from envs import random
from envs.arrays import Bools, Floats, Ints, Keys
from envs.causal import roots as root_fits
from envs.causal.roots import Roots

REACH = 5.0
"""Rows whose parents lie outside [-REACH, REACH] do not teach the node: the features of so few
frequencies repeat themselves out there and would spoil the fit inside."""

_CHUNK = 64
"""How many slots are worked on at a time: their features then stay in the processor's cache."""
_SKIP = 120
"""Where in the sequence the frequencies begin. With few features this matters to the difficulty of
the task, which here is that of the 64 Gaussian ones it was first measured with; it is part of the
task's definition, like the length scale."""

S = TypeVar("S")


class Student(Protocol[S]):
    """What a world needs of a student; its state S is a tree of arrays with leading axis B."""

    def reset(self, keys: Keys) -> S:
        """A student that knows nothing, for each of the keys [B]."""
        ...

    def learn(self, state: S, rows: Floats, chosen: Bools) -> S:
        """The state after rows [B, rows, n] in which the nodes chosen [B, n] were set."""
        ...

    def predict(self, state: S, x: Floats) -> Floats:
        """Learnt means [B, k, rows] of the slots where the nodes have the values x [B, rows, n]."""
        ...

    def target(self, truth: Floats) -> Floats:
        """The true means [C, k, P] at the probe points, in the form that squared_error takes."""
        ...

    def squared_error(self, state: S, target: Floats) -> Floats:
        """Mean squared error [B, k] at the probe points."""
        ...

    def uncertainty(self, state: S) -> Floats:
        """How unsure each slot is [B, k], known without the truth; smaller is surer."""
        ...

    def roots(self, state: S) -> Roots:
        """The fitted roots."""
        ...


@dataclasses.dataclass(frozen=True)
class Knowledge:
    """What B linear students know."""

    gram: Floats
    """[B, k, D, D]: sum over rows of the outer product of the features."""
    moment: Floats
    """[B, k, D]: sum over rows of features times the node's value."""
    weights: Floats
    """[B, k, D]: posterior mean, solved from the two."""
    variance: Floats
    """[B, k]: posterior variance, averaged over the probe points, in units of the noise's."""
    roots: Roots
    """The fitted roots."""


class BayesLinear:
    """Bayesian linear regression on D features of each node's parents."""

    def __init__(
        self, parents: Bools, probes: Floats, features: int, length_scale: float, ridge: float
    ) -> None:
        """Prepare the features.

        Args:
            parents: [n, n], row j marks the parents of node j.
            probes: [P, n] points at which errors and variances are averaged.
            features: D.
            length_scale: over which distance of the parents' values the mechanisms change.
            ridge: noise variance over prior variance of a weight.
        """
        self.slots: Ints = np.flatnonzero(parents.any(axis=1))
        self.root_nodes: Ints = np.flatnonzero(~parents.any(axis=1))
        self.ridge = ridge
        self._frequencies, self._phases = _frequencies(parents[self.slots], features, length_scale)
        self._parents = parents[self.slots]
        at_probes = self.features(probes[None])[0]
        self._probe_basis, self._probe_factor = np.linalg.qr(at_probes / np.sqrt(len(probes)))
        self._probe_gram = np.swapaxes(at_probes, -1, -2) @ at_probes / len(probes)

    def reset(self, keys: Keys) -> Knowledge:
        """Knowledge of nothing for keys [B]."""
        B, k, D = len(keys), len(self.slots), self._phases.shape[-1]
        prior = np.trace(self._probe_gram, axis1=-2, axis2=-1) / self.ridge
        return Knowledge(
            gram=np.zeros((B, k, D, D)),
            moment=np.zeros((B, k, D)),
            weights=np.zeros((B, k, D)),
            variance=np.broadcast_to(prior, (B, k)).copy(),
            roots=root_fits.empty(B, len(self.root_nodes)),
        )

    def features(self, x: Floats) -> Floats:
        """Features [B, k, rows, D] of each slot at node values x [B, rows, n]."""
        return _cosines(x[:, None], self._frequencies, self._phases)

    def statistics(self, rows: Floats, copies: Ints, slots: Ints) -> tuple[Floats, Floats]:
        """What rows [B, rows, n] add to gram [m, D, D] and moment [m, D] of m slots of copies."""
        mine = rows[copies]
        phi = _cosines(mine, self._frequencies[slots], self._phases[slots])
        # A row with a parent out of reach does not count.
        outside = np.abs(mine) > REACH
        phi[(outside & self._parents[slots][:, None]).any(axis=-1)] = 0
        values = rows[copies, :, self.slots[slots]]
        return np.swapaxes(phi, -1, -2) @ phi, (values[:, None] @ phi)[:, 0]

    def learn(self, state: Knowledge, rows: Floats, chosen: Bools) -> Knowledge:
        """Knowledge after rows [B, rows, n] in which the nodes chosen [B, n] were set.

        Rows in which a node was set say nothing about its mechanism, so its slot is left alone; the
        others, and only they, are solved again, which is the costly part.
        """
        copies, slots = np.nonzero(~chosen[:, self.slots])
        known = Knowledge(
            gram=state.gram.copy(),
            moment=state.moment.copy(),
            weights=state.weights.copy(),
            variance=state.variance.copy(),
            roots=root_fits.learn(
                state.roots, rows[:, :, self.root_nodes], ~chosen[:, self.root_nodes]
            ),
        )
        for first in range(0, len(copies), _CHUNK):
            part = slice(first, first + _CHUNK)
            some = (copies[part], slots[part])
            gram, moment = self.statistics(rows, *some)
            gram += state.gram[some]
            moment += state.moment[some]
            known.gram[some], known.moment[some] = gram, moment
            known.weights[some], known.variance[some] = self.solve(gram, moment, slots[part])
        return known

    def solve(self, gram: Floats, moment: Floats, slot: Ints) -> tuple[Floats, Floats]:
        """Posterior means [m, D] and averaged variances [m] from gram [m, D, D], moment [m, D]."""
        covariance = self._covariance(gram)
        weights = (covariance @ moment[..., None])[..., 0]
        return weights, (covariance * self._probe_gram[slot]).sum(axis=(-1, -2))

    def predict(self, state: Knowledge, x: Floats) -> Floats:
        """Learnt means [B, k, rows] where the nodes have the values x [B, rows, n]."""
        return (self.features(x) @ state.weights[..., None])[..., 0]

    def target(self, truth: Floats) -> Floats:
        """The true means [C, k, P] as [C, k, D + 1]: with Phi = QR, Q^T f and what no R w reaches.

        The error |Rw - Q^T f|^2 + remainder^2 equals the mean square of Phi w - f at a fraction of
        the cost, and never goes below zero by rounding.
        """
        f = truth / np.sqrt(truth.shape[-1])
        projected = (f[..., None, :] @ self._probe_basis)[..., 0, :]
        remainder = f - (self._probe_basis @ projected[..., None])[..., 0]
        return np.concatenate((projected, np.linalg.norm(remainder, axis=-1)[..., None]), axis=-1)

    def squared_error(self, state: Knowledge, target: Floats) -> Floats:
        """Mean squared error [B, k] at the probe points, whose target is [C, k, D + 1]."""
        learnt = (self._probe_factor @ state.weights[..., None])[..., 0]
        gap = np.square(learnt - target[..., :-1]).sum(axis=-1)
        return gap + np.square(target[..., -1])

    def uncertainty(self, state: Knowledge) -> Floats:
        """Posterior variance [B, k] averaged over the probe points, in units of the noise's."""
        return state.variance

    def roots(self, state: Knowledge) -> Roots:
        """The fitted roots."""
        return state.roots

    def expected_variance(
        self, state: Knowledge, noise: Floats, chosen: Bools, values: Floats
    ) -> Floats:
        """Sum over slots [B] of the variance expected after rows under an intervention.

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
        for slot, node in enumerate(self.slots.tolist()):
            means = self.predict(state, x)[:, slot]
            x[:, :, node] = np.where(chosen[:, node, None], values[:, node, None], means)
        copies, slots = np.nonzero(~chosen[:, self.slots])
        gram = state.gram[copies, slots] + self.statistics(x, copies, slots)[0]
        variance = state.variance.copy()
        variance[copies, slots] = (self._covariance(gram) * self._probe_gram[slots]).sum((1, 2))
        return variance.sum(axis=1)

    def _covariance(self, gram: Floats) -> Floats:
        """Posterior covariance [..., D, D] of the weights, in units of the noise's variance."""
        # Inverting by halves (Schur complements) would be faster, but its error grows with the
        # square of the condition number: with features this nearly dependent it was useless.
        return np.linalg.inv(gram + self.ridge * np.eye(gram.shape[-1]))


def _cosines(x: Floats, frequencies: Floats, phases: Floats) -> Floats:
    """sqrt(2 / D) cos(x F + phase) [..., rows, D] at x [..., rows, n].

    The cosine is taken in single precision, at a tenth of the time; all sums are in double.
    """
    phi = x.astype(np.float32) @ frequencies
    phi += phases
    np.cos(phi, out=phi)
    phi *= np.float32(np.sqrt(2 / phi.shape[-1]))
    return phi.astype(float)


def _frequencies(parents: Bools, features: int, length_scale: float) -> tuple[Floats, Floats]:
    """Frequencies [k, n, D], zero where not a parent, and phases [k, 1, D], in single precision."""
    k, n = parents.shape
    frequencies = np.zeros((k, n, features), np.float32)
    phases = np.zeros((k, 1, features), np.float32)
    for slot, mine in enumerate(parents):
        count = int(mine.sum())
        points = random.low_discrepancy(features, count + 1, _SKIP)
        frequencies[slot, mine] = random.normal_quantiles(points[:, :count]).T / length_scale
        phases[slot, 0] = 2 * np.pi * points[:, count]
    return frequencies, phases
