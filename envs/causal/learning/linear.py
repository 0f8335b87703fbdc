"""Random Fourier features in few directions, and the posterior of a linear regression on them.

Shapes: b copies, n nodes, p parents, D features, P probe points, r directions.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from threadpoolctl import threadpool_limits

from envs.causal.models.scm import Scm
from envs.contract import counter_rng
from envs.contract.pytree import Floats, Ints

one_thread = threadpool_limits.wrap(limits=1)
"""Decorator for bases, which are computed once by long sums and eigenvectors. Several threads would
add in another order, the faintest directions would amplify the difference, and a seed's episodes
would depend on the number of cores."""

_SKIP = 120
"""Offset of the frequencies in the low-discrepancy sequence. With few features it affects the
difficulty of the task; this value matches the difficulty with 64 Gaussian features, with which the
task was first measured. It is part of the task's definition, like the length scale."""

_BLOCKS = (8, 12)
"""Numbers of directions are a power of two times one of these, so that triangles halve evenly."""
_FAINT = 1e-9
"""Directions whose mean square over the box is below this are left out (all together sum to 1)."""


REACH = 5.0
"""Rows whose parents lie outside [-REACH, REACH] do not teach the node: the few frequencies repeat
themselves there and would spoil the fit inside."""


@dataclasses.dataclass(frozen=True)
class Units:
    """The units in which students see parents: every domain is [-REACH, REACH]."""

    middle: Floats
    """[n]: the middles of the nodes' domains."""
    size: Floats
    """[n]: what one unit is in the nodes' own."""

    @classmethod
    def of(cls, scm: Scm) -> Units:
        """Return the units of a single model; those of a node without a domain are its own."""
        low, high = scm.low[0], scm.high[0]
        bounded = high > low
        middle = np.where(bounded, (low + high) / 2, 0.0)
        return cls(middle, np.where(bounded, (high - low) / (2 * REACH), 1.0))

    def to_node_units(self, z: Floats) -> Floats:
        """Return values [..., n] in the nodes' own units."""
        return self.middle + z * self.size

    def frequencies(self, affine: Floats, parents: Ints) -> Floats:
        """Return frequencies and phases [p + 1, D] for values in the parents' own units."""
        # Frequencies divide by the unit, and the shift of the middle moves into the phase, so
        # features need no rescaled copy of the rows.
        scaled = affine[:-1] / self.size[parents, None]
        return np.vstack((scaled, affine[-1] - self.middle[parents] @ scaled))


@dataclasses.dataclass(frozen=True)
class Basis:
    """The features of one node's parents."""

    parents: Ints
    """[p]: which nodes they are."""
    affine: Floats
    """[p + 1, D]: frequencies F and, last, phases; in single precision like the rotation."""
    rotation: Floats
    """[D, r]: the directions, as combinations of the features; orthonormal (or 0, to fill up)
    but for the factor sqrt(2 / D) that makes the features' squares sum to about 1."""
    energy: Floats
    """[r]: the directions' mean squares over the probe points, over which they are orthogonal."""
    probe_basis: Floats
    """[P, r]: Q, where QR are the directions at the probe points over the root of P."""
    probe_factor: Floats
    """[r, r]: R."""

    @property
    def rank(self) -> int:
        """How many directions there are."""
        return self.rotation.shape[1]

    def features(self, x: Floats) -> Floats:
        """Compute cos(x F + phase) [..., rows, D] at the parents' values x [..., rows, p].

        The cosine is taken in single precision, at a tenth of the time; all sums are in double.
        """
        # A last column of ones carries the phases: one matrix product instead of a product and a
        # sum.
        extended = np.ones((*x.shape[:-1], len(self.affine)), np.float32)
        extended[..., :-1] = x
        phi = extended @ self.affine
        return np.cos(phi, out=phi)

    def directions(self, x: Floats) -> Floats:
        """Compute the directions [..., rows, r] at the parents' values x [..., rows, p]."""
        return self.features(x) @ self.rotation


def joint_features(parents: int, features: int, length_scale: float) -> Floats:
    """Return frequencies and phases [p + 1, D] of features that read all parents."""
    # One dimension for each parent and one for the phase.
    points = counter_rng.low_discrepancy(features, parents + 1, _SKIP)
    # Normal frequencies are those of the Gaussian kernel (Bochner's theorem); the length scale
    # divides them.
    frequencies = counter_rng.normal_quantiles(points[:, :-1]).T / length_scale
    return np.vstack((frequencies, 2 * np.pi * points[:, -1]))


def additive_features(parents: int, features: int, length_scale: float) -> Floats:
    """Return frequencies and phases [p + 1, p D] of features that read one parent each."""
    single = joint_features(1, features, length_scale)
    # The Kronecker product repeats one parent's frequencies block by block with zeros elsewhere, so
    # no feature reads two parents.
    return np.vstack((np.kron(np.eye(parents), single[:1]), np.tile(single[1:], parents)))


@one_thread
def basis(parents: Ints, affine: Floats, probes: Floats, box: Floats) -> Basis:
    """Reduce features [p + 1, D] to the directions that differ from 0 at points box [P, n]."""
    features, probes, box = affine.shape[1], probes[:, parents], box[:, parents]
    # cos^2 has mean 1/2 over random phases, so this factor makes the squares of D features sum to
    # 1.
    scale = np.sqrt(2 / features)
    plain = Basis(
        parents=parents,
        affine=affine.astype(np.float32),
        rotation=np.eye(features, dtype=np.float32) * np.float32(scale),
        energy=np.zeros(features),
        probe_basis=np.zeros((len(probes), features)),
        probe_factor=np.zeros((features, features)),
    )
    # Few combinations of features differ from 0 on the box: drop the others before anything else.
    strength, rotation = np.linalg.eigh(_mean_gram(plain.directions(box)))
    needed = int((strength > _FAINT).sum())
    # The smallest admissible size: rounding up keeps a few faint directions, which the ridge
    # suppresses.
    rank = min(b * 2**i for b in _BLOCKS for i in range(features) if b * 2**i >= needed)
    # eigh sorts ascending, so the last columns are the strongest.
    rotation = rotation[:, -rank:]
    # Among the directions kept, those that are orthogonal over the probe points.
    energy, inner = np.linalg.eigh(_mean_gram(plain.directions(probes) @ rotation))
    # With few features there may be fewer directions than the size asks for; zero columns fill up.
    rotation = np.pad(rotation @ inner, ((0, 0), (0, rank - len(energy))))
    rotated = dataclasses.replace(
        plain,
        rotation=(scale * rotation).astype(np.float32),
        energy=np.pad(np.maximum(energy, 0), (0, rank - len(energy))),
    )
    # With QR the error at all probe points is the norm of r numbers: |R w - Q^T f|.
    Q, R = np.linalg.qr(rotated.directions(probes).astype(float) / np.sqrt(len(probes)))
    return dataclasses.replace(rotated, probe_basis=Q, probe_factor=R)


def compute_sums(phi: Floats, values: Floats) -> Floats:
    """Return sums over rows [b, r, r + 1]: Phi^T [Phi, y] of directions and values [b, rows]."""
    both = np.concatenate((phi, values[..., None]), axis=-1, dtype=float)
    # With the values as one column more, numpy does not see a product with the own transpose, for
    # which it calls BLAS's syrk: at these sizes that takes twice the time.
    return np.swapaxes(both[..., :-1], -1, -2) @ both


def fit(sums: Floats, energy: Floats) -> tuple[Floats, Floats, Floats]:
    """Return posterior means [b, r], variances [b] and a factor of the covariance [b, r, r].

    They follow from sums [b, r, r + 1] that have the ridge on their diagonal. The variances are
    sums over the directions, weighted by their energies [r], in units of the noise's variance; the
    covariance is F^T F.
    """
    # With L L^T = Phi^T Phi + ridge, all follow from the inverse of L, at a third of the time that
    # numpy takes for a general inverse. LAPACK reads columns, which the transpose (the same matrix)
    # has one after the other in memory.
    inverse = triangular_inverse(np.linalg.cholesky(np.swapaxes(sums[..., :-1], -1, -2)))
    weights = np.swapaxes(inverse, -1, -2) @ (inverse @ sums[..., -1:])
    variance = (np.square(inverse) @ energy[:, None]).sum(axis=(1, 2))
    return weights[..., 0], variance, inverse


def triangular_inverse(lower: Floats) -> Floats:
    """Invert lower triangles [b, r, r], where r is a power of two times 3 or 4."""
    size = lower.shape[1]
    while size > 4:
        size //= 2
    inverse = np.zeros_like(lower)
    _diagonal_blocks(inverse, size)[:] = _inverse_by_columns(_diagonal_blocks(lower, size))
    # From blocks to blocks of twice the size: [[A, 0], [C, D]] has the inverse
    # [[A', 0], [-D' C A', D']], where A' and D' are known.
    while size < lower.shape[1]:
        C = _diagonal_blocks(lower, 2 * size)[..., size:, :size]
        both = _diagonal_blocks(inverse, 2 * size)
        product = both[..., size:, size:] @ C @ both[..., :size, :size]
        np.negative(product, out=both[..., size:, :size])
        size *= 2
    return inverse


def _diagonal_blocks(x: Floats, size: int) -> Floats:
    """Return the blocks [b, r / s, s, s] on the diagonal of matrices [b, r, r], as a view."""
    b, r, _ = x.shape
    return np.einsum("bisit->bist", x.reshape(b, r // size, size, r // size, size))


def _inverse_by_columns(lower: Floats) -> Floats:
    """Invert small lower triangles [b, k, s, s], all of them in the same few operations."""
    # Numpy runs fast over the last axes, so the triangles come last here: [s, s, b, k].
    L = np.ascontiguousarray(lower.transpose(2, 3, 0, 1))
    X = np.zeros_like(L)
    # Forward substitution, one column at a time; every operation acts on all triangles.
    for j in range(len(L)):
        X[j, j] = 1
        X[j, : j + 1] /= L[j, j]
        X[j + 1 :, : j + 1] -= L[j + 1 :, j, None] * X[j, : j + 1]
    return X.transpose(2, 3, 0, 1)


def _mean_gram(phi: Floats) -> Floats:
    phi = phi.astype(float)
    return phi.T @ phi / len(phi)
