"""Structural causal models, evaluated for all copies at once.

A node's value is a sum over its parents of known functions, plus noise:
``x_j = offset_j + sum_{i, f} weight_{j, i, f} f(x_i) + noise_j``. Weights carry a leading axis C
that is 1 (all copies share one model) or B (each copy has its own), so that families of models need
no other code. Nodes are kept in an order in which parents come before their children.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from envs.arrays import Bools, Floats, Ints
from envs.validation import InputError

FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "linear": lambda x: x,
    "square": np.square,
    "sine": np.sin,
    "tanh": np.tanh,
}
"""What a mechanism may do to a parent's value; the last axis of the weights follows this order."""


@dataclasses.dataclass(frozen=True)
class Scm:
    """One structural causal model (C = 1), or one for each copy (C = B)."""

    names: tuple[str, ...]
    """What the nodes are called, parents before children."""
    weights: Floats
    """[C, n, n, functions]: weights[:, j, i, f] is how strongly function f of node i enters j."""
    offset: Floats
    """[C, n]: the constant of each mechanism; for a root its mean."""
    noise: Floats
    """[C, n]: standard deviation of the additive Gaussian noise; for a root its own."""
    low: Floats
    """[n]: the smallest value that a node may be set to."""
    high: Floats
    """[n]: the largest value that a node may be set to."""

    def __post_init__(self) -> None:
        for j, name in enumerate(self.names):
            late = [self.names[i] for i in range(j, self.nodes) if self.weights[:, j, i].any()]
            if late:
                raise InputError(
                    f"Node {name} has {', '.join(late)} as a parent, which is not before it: list "
                    "every node after its parents; if that cannot be done, the graph has a cycle."
                )

    @property
    def nodes(self) -> int:
        """The number of nodes n."""
        return len(self.names)

    @property
    def parents(self) -> Bools:
        """[C, n, n]: row j marks the parents of node j."""
        return (self.weights != 0).any(axis=-1)

    def mechanism(self, node: int, x: Floats) -> Floats:
        """Noiseless values [B, rows] of one node where all nodes have the values x [B, rows, n]."""
        value = np.broadcast_to(self.offset[:, node, None], x.shape[:2]).copy()
        for i, f in np.argwhere(self.weights[:, node].any(axis=0)).tolist():
            function = tuple(FUNCTIONS.values())[f]
            value += self.weights[:, node, i, f, None] * function(x[:, :, i])
        return value

    def sample(self, noise: Floats, chosen: Bools, values: Floats) -> Floats:
        """Rows [B, rows, n] under hard interventions, in the precision of the noise.

        Args:
            noise: [B, rows, n] standard normal numbers.
            chosen: [B, n] which nodes are set, whatever their parents do.
            values: [B, n] what they are set to.
        """
        x = np.zeros_like(noise)
        scale = np.broadcast_to(self.noise, chosen.shape)
        for j in range(self.nodes):
            natural = self.mechanism(j, x) + scale[:, j, None] * noise[:, :, j]
            x[:, :, j] = np.where(chosen[:, j, None], values[:, j, None], natural)
        return x

    def domain_value(self, node: Ints, position: Floats) -> Floats:
        """Values [B] at positions [B] in [-1, 1] of the domains of nodes [B]."""
        low, high = self.low[node], self.high[node]
        return low + (position + 1) / 2 * (high - low)


def from_terms(
    terms: dict[str, dict[tuple[str, str], float]],
    offset: dict[str, float],
    noise: dict[str, float],
    domain: tuple[float, float],
) -> Scm:
    """A model (C = 1) from a table: node -> {(parent, function): weight}, parents first."""
    names = tuple(terms)
    place = {name: position for position, name in enumerate(names)}
    kinds = {kind: position for position, kind in enumerate(FUNCTIONS)}
    weights = np.zeros((1, len(names), len(names), len(kinds)))
    for name, parts in terms.items():
        for (parent, kind), weight in parts.items():
            weights[0, place[name], place[parent], kinds[kind]] = weight
    return Scm(
        names=names,
        weights=weights,
        offset=np.array([[offset.get(name, 0.0) for name in names]]),
        noise=np.array([[noise[name] for name in names]]),
        low=np.full(len(names), domain[0]),
        high=np.full(len(names), domain[1]),
    )


def ace5() -> Scm:
    """The five nodes of the post-mortem: X1 -> X2 -> X3 <- X1 and X4 -> X5."""
    return from_terms(
        terms={
            "X1": {},
            "X2": {("X1", "linear"): 2.0},
            "X3": {("X1", "linear"): 0.5, ("X2", "linear"): -1.0, ("X2", "sine"): 1.0},
            "X4": {},
            "X5": {("X4", "square"): 0.2},
        },
        offset={"X2": 1.0, "X4": 2.0},
        noise={"X1": 1.0, "X2": 0.1, "X3": 0.1, "X4": 1.0, "X5": 0.1},
        domain=(-5.0, 5.0),
    )


MODELS: dict[str, Callable[[], Scm]] = {"ace5": ace5}
"""The models that can be chosen by name."""
