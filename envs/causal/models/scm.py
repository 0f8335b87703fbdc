"""Structural causal models, evaluated for all copies at once.

Arrays carry a leading axis C that is 1 (all copies share one model) or B (each copy has its own),
so that families of models need no other code. Nodes may be stored in any order: each model says in
which order its nodes are evaluated, parents before children. Nodes of smaller models are filled up
to the largest with ones that are not ``real``; hidden nodes, which confound others and are neither
seen nor set, come last.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from envs.contract.pytree import Array, Bools, Floats, Ints
from rungwise.validation import InputError, unknown_name_error


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(0.5 * x))  # does not overflow


FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    "linear": lambda x: x,
    "square": np.square,
    "sine": np.sin,
    "tanh": np.tanh,
    "cube": lambda x: x * x * x,
    "cosine": np.cos,
    "exp": np.exp,
    "sigmoid": _sigmoid,
}
"""Functions of a parent's value; the last axis of the weights follows this order."""

SHAPES: dict[str, Callable[[Floats], Floats]] = {
    "sum": lambda s: s,
    "squashed": lambda s: 3 * np.tanh(s / 3),
    "wavy": lambda s: s + 2 * np.sin(1.5 * s),
}
"""Functions of the sum over the parents; shapes are numbered in this order."""


@dataclasses.dataclass(frozen=True)
class Scm(ABC):
    """One structural causal model (C = 1), or one for each copy (C = B)."""

    order: Ints
    """[C, n]: the nodes in an order in which they can be evaluated."""
    noise: Floats
    """[C, n]: standard deviation of the additive Gaussian noise, which is all of a root."""
    low: Floats
    """[C, n]: the smallest value that a node may be set to."""
    high: Floats
    """[C, n]: the largest value that a node may be set to."""
    real: Bools
    """[C, n]: which nodes there are."""

    @property
    @abstractmethod
    def parents(self) -> Bools:
        """[C, n, n]: row j marks the parents of node j."""

    @abstractmethod
    def mechanism(self, node: Ints, x: Floats) -> Floats:
        """Return noiseless values [B, rows] of nodes [C] at node values [B, rows, n]."""

    @property
    def nodes(self) -> int:
        """The number of nodes n."""
        return self.order.shape[1]

    def sample(self, noise: Floats, chosen: Bools, values: Floats) -> Floats:
        """Return rows [B, rows, n] under hard interventions, in the precision of the noise.

        Args:
            noise: [B, rows, n] standard normal numbers.
            chosen: [B, n] which nodes are set, whatever their parents do.
            values: [B, n] what they are set to.
        """
        # Columns not yet evaluated are 0. They may be read as padding, but only with weight 0.
        x = np.zeros_like(noise)
        # One column of the order per pass: the node may differ from copy to copy, its rank may not.
        # So the Python loop is over n nodes, never over B copies.
        for node in self.order.T:
            # Computed for set nodes, too: which node is set differs from copy to copy, so leaving
            # them out would take a gather per node.
            natural = self.compute_natural_values(node, x, column(noise, node))
            is_set, to = (
                take_node_entries(chosen, node)[:, None],
                take_node_entries(values, node)[:, None],
            )
            put_column(x, node, np.where(is_set, to, natural))
        return x

    def compute_natural_values(self, node: Ints, x: Floats, noise: Floats) -> Floats:
        """Return values [B, rows] of nodes [C] that are not set, from all values and noise."""
        return self.mechanism(node, x) + take_node_entries(self.noise, node)[:, None] * noise

    def domain_value(self, node: Ints, position: Floats) -> Floats:
        """Return values [B] at positions [B] in [-1, 1] of the domains of nodes [B]."""
        # With one shared model (C = 1) index 0 broadcasts over the batch; else copy b reads its own
        # row.
        every = np.arange(len(node)) if len(self.low) > 1 else 0
        low, high = self.low[every, node], self.high[every, node]
        return low + (position + 1) / 2 * (high - low)


@dataclasses.dataclass(frozen=True)
class AdditiveScm(Scm):
    """A node is ``scale * shape(offset + sum over inputs and functions of weight * f(x)) + shift``.

    To that come inputs that enter ``outside`` of the shape, as confounders do. Inputs that a node
    does not have are filled up with weights of 0. A tree of arrays, so that it can be part of a
    world's state.
    """

    inputs: Ints
    """[C, n, p]: the nodes that a node's mechanism reads."""
    weights: Floats
    """[C, n, p, functions]: how strongly each function of an input enters."""
    outside: Floats
    """[C, n, p]: how strongly an input enters outside of the shape."""
    offset: Floats
    """[C, n]: the constant of each mechanism; for a root its mean."""
    shape: Ints
    """[C, n]: which of SHAPES is applied to the sum."""
    scale: Floats
    """[C, n]: times the shaped sum."""
    shift: Floats
    """[C, n]: added to that."""

    @property
    def parents(self) -> Bools:
        """See :class:`Scm`."""
        C, n, _ = self.inputs.shape
        marks = np.zeros((C, n, n), np.bool_)
        # Inputs are padded with node 0 at weight 0: an edge exists only where a weight differs from
        # 0.
        copy, node, slot = np.nonzero((self.weights != 0).any(axis=-1) | (self.outside != 0))
        marks[copy, node, self.inputs[copy, node, slot]] = True
        return marks

    def mechanism(self, node: Ints, x: Floats) -> Floats:
        """See :class:`Scm`."""
        # In the precision of the rows (float32 while sampling), so that no product is promoted to
        # double.
        total = np.empty(x.shape[:2], x.dtype)
        total[:] = take_node_entries(self.offset, node)[:, None]
        weights, inputs = (
            take_node_entries(self.weights, node),
            take_node_entries(self.inputs, node),
        )
        # Only functions that at least one copy uses: most models are linear, and sines or
        # exponentials of whole batches would dominate the time.
        for slot, kind in np.argwhere(weights.any(axis=0)).tolist():
            values = tuple(FUNCTIONS.values())[kind](column(x, inputs[:, slot]))
            total += weights[:, slot, kind, None] * values
        shapes = take_node_entries(self.shape, node)
        # Number 0 is the plain sum, so families without shapes skip the loop body.
        for number, function in enumerate(SHAPES.values()):
            if number and (mine := shapes == number).any():
                which = mine if len(mine) > 1 else slice(None)
                total[which] = function(total[which])
        # Scale and shift come after the shape, confounders after both: a hidden input must bias the
        # observed slope whatever the shape does.
        total = (
            take_node_entries(self.scale, node)[:, None] * total
            + take_node_entries(self.shift, node)[:, None]
        )
        outside = take_node_entries(self.outside, node)
        for slot in np.flatnonzero(outside.any(axis=0)).tolist():
            total += outside[:, slot, None] * column(x, inputs[:, slot])
        return total


@dataclasses.dataclass(frozen=True)
class Model:
    """A structural causal model with names, as it is read from a file or chosen by name."""

    names: tuple[str, ...]
    """Names of the nodes; hidden ones last."""
    scm: Scm
    """The model (C = 1)."""
    settable: tuple[bool, ...]
    """Which nodes may be set."""
    hidden: int = 0
    """How many nodes are neither seen nor set."""
    target: str = ""
    """The node to be driven down, in a model for optimisation."""

    def with_target(self, target: str) -> Model:
        """Return the same model with another target node, which may not be set itself."""
        visible = self.names[: len(self.names) - self.hidden]
        if target not in visible:
            raise unknown_name_error("node", target, visible, "to be the target")
        may = (name != target and may for name, may in zip(self.names, self.settable, strict=True))
        return dataclasses.replace(self, target=target, settable=tuple(may))


def take_node_entries(per_node: Array, node: Ints) -> Array:
    """Return the entries [C or B, ...] of nodes [C] in an array [C or B, n, ...]."""
    # A basic index instead of a gather: it returns a view, and this is the innermost call of
    # sampling.
    if len(node) == 1:
        return per_node[:, node[0]]
    every = np.arange(len(node)) if len(per_node) > 1 else 0
    return per_node[every, node]


def column(x: Floats, node: Ints) -> Floats:
    """Return the values [B, rows] of nodes [C] in rows [B, rows, n]."""
    if len(node) == 1:
        return x[:, :, node[0]]
    # Advanced indices on both sides of a slice put their axis first: [B, rows], as wanted.
    return x[np.arange(len(x)), :, node]


def put_column(x: Floats, node: Ints, values: Floats) -> None:
    """Write values [B, rows] of nodes [C] into rows [B, rows, n]."""
    if len(node) == 1:
        x[:, :, node[0]] = values
    else:
        x[np.arange(len(x)), :, node] = values


def evaluation_order(parents: Bools, names: Sequence[str]) -> Ints:
    """Return an order [n] in which parents come before children, from parents [n, n].

    Raises:
        InputError: naming the nodes of a cycle.
    """
    waiting, order = list(range(len(names))), list[int]()
    while waiting:
        # All nodes without waiting parents enter at once, in their stored order, so the result is
        # deterministic.
        ready = [j for j in waiting if not parents[j, waiting].any()]
        if not ready:
            around = " -> ".join(names[j] for j in _cycle(parents, waiting))
            raise InputError(f"The graph has a cycle, {around}: remove one of its edges.")
        order += ready
        waiting = [j for j in waiting if j not in ready]
    return np.array(order)


def _cycle(parents: Bools, waiting: list[int]) -> list[int]:
    """Find a cycle among nodes that all have a parent among them."""
    walk = [waiting[0]]
    # Every waiting node has a waiting parent, so walking backwards must revisit a node: that part
    # of the walk is the cycle, and reversing it follows the edges.
    while walk[-1] not in walk[:-1]:
        walk.append(next(i for i in waiting if parents[walk[-1], i]))
    return walk[walk.index(walk[-1]) :][::-1]


def from_terms(
    terms: Mapping[str, Mapping[tuple[str, str], float]],
    offset: Mapping[str, float],
    noise: Mapping[str, float],
    domain: tuple[float, float],
    shape: Mapping[str, str] | None = None,
) -> Model:
    """Make a model from a table: node -> {(parent, function): weight}."""
    names = tuple(terms)
    n, index, kinds = len(names), {name: i for i, name in enumerate(names)}, list(FUNCTIONS)
    inputs = [sorted({index[parent] for parent, _ in parts}) for parts in terms.values()]
    # Inputs are padded to the widest node, so that weights form one array [1, n, p, functions].
    width = max((len(row) for row in inputs), default=0)
    sources = np.zeros((1, n, width), np.int64)
    weights = np.zeros((1, n, width, len(kinds)))
    parents = np.zeros((n, n), np.bool_)
    for j, (row, parts) in enumerate(zip(inputs, terms.values(), strict=True)):
        sources[0, j, : len(row)] = row
        parents[j, row] = True
        for (parent, kind), weight in parts.items():
            weights[0, j, row.index(index[parent]), kinds.index(kind)] = weight
    shapes = [list(SHAPES).index((shape or {}).get(name, "sum")) for name in names]
    scm = AdditiveScm(
        inputs=sources,
        weights=weights,
        outside=np.zeros(sources.shape),
        offset=np.array([[offset.get(name, 0.0) for name in names]]),
        shape=np.array([shapes]),
        scale=np.ones((1, n)),
        shift=np.zeros((1, n)),
        order=evaluation_order(parents, names)[None],
        noise=np.array([[noise[name] for name in names]]),
        low=np.full((1, n), domain[0]),
        high=np.full((1, n), domain[1]),
        real=np.ones((1, n), np.bool_),
    )
    return Model(names, scm, (True,) * n)
