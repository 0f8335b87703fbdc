"""Roots: nodes without parents, fitted in closed form as a Gaussian.

The post-mortem fitted a root's mean by Adam, which needed about 1,000 updates to travel from 0 to 2
and was mistaken for a lack of data. Sums are enough: they are exact after the first rows.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from envs.contract.pytree import Bools, Floats


@dataclasses.dataclass(frozen=True)
class Roots:
    """Sufficient statistics of the roots of B copies; r roots."""

    count: Floats
    """[B, r]: rows in which the root was not set."""
    total: Floats
    """[B, r]: sum of its values in those rows."""
    square: Floats
    """[B, r]: sum of their squares."""

    @property
    def mean(self) -> Floats:
        """[B, r]: the mean of the rows seen; 0 before the first."""
        return self.total / np.maximum(self.count, 1)

    @property
    def variance(self) -> Floats:
        """[B, r]: the variance of the rows seen.

        One imagined row of variance 1 is counted in, so that a single row does not claim certainty
        (its variance would be 0 and its divergence infinite).
        """
        # The difference of sums can round below 0.
        spread = np.maximum(self.square - self.count * self.mean**2, 0.0)
        return (spread + 1) / (self.count + 1)


def empty(copies: int, roots: int) -> Roots:
    """Return the statistics before any row."""
    return Roots(*(np.zeros((copies, roots)) for _ in range(3)))


def learn(roots: Roots, values: Floats, natural: Bools) -> Roots:
    """Add rows of root values [B, rows, r]; only roots that were not set, [B, r], learn."""
    used, values = natural.astype(float), values.astype(float)
    return Roots(
        count=roots.count + used * values.shape[1],
        total=roots.total + used * values.sum(axis=1),
        square=roots.square + used * np.square(values).sum(axis=1),
    )


def divergence(roots: Roots, mean: Floats, deviation: Floats) -> Floats:
    """Compute KL(N(learnt) || N(true)) [B, r] in nats, for true means and deviations [C, r]."""
    variance = roots.variance
    # The divergence of two Gaussians in closed form.
    gap = (variance + np.square(roots.mean - mean)) / np.square(deviation)
    return (gap - 1 - np.log(variance / np.square(deviation))) / 2
