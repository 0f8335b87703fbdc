"""Metrics of a student's knowledge: the excess risk, and the post-mortem's loss.

Excess risk has floor 0 and is the same for every policy: a root costs the divergence of its fitted
from its true Gaussian, any other node the mean squared error of its learnt against its noiseless
mechanism over parents drawn from the inner four fifths of their domains: U(-4, 4) where a domain
is [-5, 5].

The post-mortem's loss is kept under its own name for comparison only. It scores a root by the
squared error of a constant against samples, so each root costs at least its variance (1), however
much is learnt: "X1, X4 below 0.3" was never possible.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from envs.causal.learning import roots as root_fits
from envs.causal.learning.student import S, Student
from envs.causal.models.scm import Scm
from envs.contract import counter_rng
from envs.contract.pytree import Bools, Floats

CAP = 30.0
"""Cap of the excess risk: without it the first steps would dominate every mean."""
PROBES = 512
"""Number of points at which mechanisms are compared."""
ROOT_WEIGHT = 0.2
"""The weight that the post-mortem gave a root in its total."""
_HALF_WIDTH = 4.0


def probe_points(nodes: int) -> Floats:
    """Return evenly spread points [PROBES, nodes] in the cube (-4, 4), in the students' units."""
    return _HALF_WIDTH * (2 * counter_rng.low_discrepancy(PROBES, nodes) - 1)


@dataclasses.dataclass(frozen=True)
class Risk:
    """Errors of B students: what they have not learnt yet."""

    node_excess: Floats
    """[B, n]: excess risk of each node, at most CAP."""
    excess: Floats
    """[B]: their sum, at most CAP."""
    postmortem: Floats
    """[B]: the post-mortem's loss."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """Mechanisms to learn, for all copies (C = 1) or one each (C = B); a tree of arrays."""

    target: Any
    """The mechanisms at the probe points, in the form in which the student takes them."""
    is_root: Bools
    """[C, r]: which of the nodes that the student fits as roots have no parents."""
    mean: Floats
    """[C, r]: their means; 0 of others."""
    deviation: Floats
    """[C, r]: their standard deviations; 1 of others."""
    is_effect: Bools
    """[C, n]: which nodes have parents."""
    noise_variance: Floats
    """[C, k]: variance of the noise of the slots; 0 of a slot without parents."""


def make_truth(scm: Scm, student: Student[Any]) -> Truth:
    """Compute what a student can learn of models."""
    nowhere = np.zeros((len(scm.order), 1, scm.nodes))
    # The mechanism of a root is a constant, wherever it is asked for.
    means = [
        scm.mechanism(np.full(len(nowhere), node), nowhere)[:, 0] for node in student.root_nodes
    ]
    is_effect: Bools = np.any(scm.parents, axis=2)
    is_root: Bools = (scm.real & ~is_effect)[:, student.root_nodes]
    return Truth(
        target=student.make_target(scm),
        is_root=is_root,
        # The noise of other nodes may be 0, and their mechanism without a value there.
        mean=np.where(is_root, np.stack(means, axis=1), 0.0),
        deviation=np.where(is_root, scm.noise[:, student.root_nodes], 1.0),
        is_effect=is_effect,
        noise_variance=np.where(is_effect, np.square(scm.noise), 0.0)[:, student.slots],
    )


def compute_risk(student: Student[S], state: S, truth: Truth) -> Risk:
    """Compute the risk of students with states [B]."""
    errors, fits = student.squared_error(state, truth.target), student.roots(state)
    node = np.zeros((len(errors), truth.is_effect.shape[1]))
    node[:, student.slots] = errors
    # Added, not assigned: in families every node is both a slot and a root of the student, and one
    # of the two terms is 0.
    divergence = root_fits.divergence(fits, truth.mean, truth.deviation)
    node[:, student.root_nodes] += truth.is_root * divergence
    # The post-mortem scored roots against samples, so their variance is part of the loss.
    missed = truth.is_root * (np.square(fits.mean - truth.mean) + np.square(truth.deviation))
    noisy = errors + truth.noise_variance
    return Risk(
        # Capped after the sum, too: many nodes below the cap may still add up to more than it.
        node_excess=np.minimum(node, CAP),
        excess=np.minimum(node.sum(axis=1), CAP),
        postmortem=ROOT_WEIGHT * missed.sum(axis=1) + noisy.sum(axis=1),
    )
