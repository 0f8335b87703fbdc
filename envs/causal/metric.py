"""How well a student knows a model: the excess risk, and the post-mortem's own loss.

Excess risk has floor 0 and is the same for every policy: a root costs the divergence of its fitted
from its true Gaussian, any other node the mean squared error of its learnt against its noiseless
mechanism over parents drawn from U(-4, 4).

The post-mortem's loss is kept under its own name for comparison only. It scores a root by the
squared error of a constant against samples, so each root costs at least its variance (1), however
much is learnt: "X1, X4 below 0.3" was never possible.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from envs import random
from envs.arrays import Floats
from envs.causal import roots as root_fits
from envs.causal.scm import Scm
from envs.causal.student import Student

CAP = 30.0
"""Excess risk beyond this is not told apart: the first steps would drown everything else."""
PROBES = 512
"""At how many points the mechanisms are compared."""
ROOT_WEIGHT = 0.2
"""The weight that the post-mortem gave a root in its total."""
_HALF_WIDTH = 4.0


def probe_points(nodes: int) -> Floats:
    """Evenly spread points [PROBES, nodes] over the cube (-4, 4)."""
    return _HALF_WIDTH * (2 * random.low_discrepancy(PROBES, nodes) - 1)


@dataclasses.dataclass(frozen=True)
class Risk:
    """What B students still have to learn."""

    node_excess: Floats
    """[B, n]: excess risk of each node, at most CAP."""
    excess: Floats
    """[B]: their sum, at most CAP."""
    postmortem: Floats
    """[B]: the post-mortem's loss."""


class Metric:
    """Compares students with a model at fixed probe points."""

    def __init__(self, scm: Scm, student: Student[Any]) -> None:
        self._scm = scm
        self._student = student
        self._slots = np.flatnonzero(scm.parents.any(axis=(0, 2)))
        self._roots = np.setdiff1d(np.arange(scm.nodes), self._slots)
        points = probe_points(scm.nodes)[None]
        truth = [scm.mechanism(np.array([node]), points) for node in self._slots]
        self._truth = student.target(np.stack(truth, axis=1))
        # The mechanism of a root is a constant, wherever it is asked for.
        means = [scm.mechanism(np.array([node]), points[:, :1])[:, 0] for node in self._roots]
        self._means = np.stack(means, axis=1)

    def risk(self, state: Any) -> Risk:
        """The risk of the students with states [B]."""
        scm, fits = self._scm, self._student.roots(state)
        mean, deviation = self._means, scm.noise[:, self._roots]
        errors = self._student.squared_error(state, self._truth)
        node = np.zeros((len(errors), scm.nodes))
        node[:, self._slots] = errors
        node[:, self._roots] = root_fits.divergence(fits, mean, deviation)
        missed = np.square(fits.mean - mean) + np.square(deviation)
        noisy = errors + np.square(scm.noise[:, self._slots])
        return Risk(
            node_excess=np.minimum(node, CAP),
            excess=np.minimum(node.sum(axis=1), CAP),
            postmortem=ROOT_WEIGHT * missed.sum(axis=1) + noisy.sum(axis=1),
        )
