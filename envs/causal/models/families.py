"""Families of structural causal models: one model for each key of a batch.

A model is drawn in a canonical order, in which parents have smaller numbers than their children,
and then its nodes are shuffled, so that a position says nothing about a node. The columns of a
drawn model are its shuffled nodes, then fillers up to the largest size, then its hidden nodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from envs.causal.models.graphs import DECOYS, GRAPHS, Edges, GraphKind, before_decoys, meeting
from envs.causal.models.scm import FUNCTIONS, SHAPES, AdditiveScm
from envs.contract import counter_rng
from envs.contract.pytree import Array, Floats, Ints, Keys
from rungwise.validation import InputError, unknown_name_error

DOMAIN = (-5.0, 5.0)
"""Domain of every node of every family."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """B models of one family."""

    scm: AdditiveScm
    """The models (C = B)."""
    target: Ints
    """[B]: the target node; it has parents."""


@dataclasses.dataclass(frozen=True)
class Family:
    """A kind of graph with a kind of mechanism."""

    what: str
    """Description in words."""
    graph: GraphKind
    """The kind of graph."""
    mechanisms: Callable[[Keys, Edges], AdditiveScm]
    """Draws a model in the canonical order, from keys [B] and the edges."""
    target: Callable[[Keys, Edges], Ints]
    """Draws the targets [B]."""
    hidden: int = 0
    """Number of hidden nodes, which come last."""


def draw_family(family: str, keys: Keys, smallest: int, largest: int) -> Drawn:
    """Draw a model for each of keys [B], of ``smallest`` to ``largest`` visible nodes.

    Raises:
        InputError: for an unknown family, or sizes that it cannot have.
    """
    kind = _family(family)
    if not kind.graph.fewest <= smallest <= largest:
        raise InputError(
            f"Models of the family {family} have {kind.graph.fewest} nodes or more, but the "
            f"smallest is to have {smallest} and the largest {largest}: change these numbers."
        )
    # Separate streams: a change in how mechanisms are drawn must not change the graphs.
    for_size, for_graph, for_target, for_mechanisms, for_order = counter_rng.split(keys, 5)
    size = smallest + counter_rng.integers(for_size, largest - smallest + 1)
    edges = kind.graph.draw(for_graph, size, largest)
    scm = kind.mechanisms(for_mechanisms, edges)
    # Shuffled last, because everything before relies on the canonical order.
    return _shuffle(Drawn(scm, kind.target(for_target, edges)), for_order, kind.hidden)


def hidden_nodes(family: str, largest: int) -> int:
    """Return the number of hidden nodes, which come last, in models of up to ``largest`` nodes."""
    del largest  # no family has more of them in larger models yet
    return _family(family).hidden


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise unknown_name_error("family", name, FAMILIES)
    return FAMILIES[name]


_LINEAR = list(FUNCTIONS).index("linear")
_MIXES = np.array(
    [
        [name in mix for name in FUNCTIONS]
        for mix in (("linear",), ("linear", "square"), ("linear", "sine"), ("tanh",))
    ]
)
"""Which functions of its parents a mechanism of the families for learning adds up."""

_PROBES = np.stack([f(np.linspace(-4, 4, 2001)) for f in FUNCTIONS.values()])
_MEAN, _COVARIANCE = _PROBES.mean(axis=1), np.cov(_PROBES, bias=True)
"""Moments of the functions of a parent, uniform in (-4, 4), where the excess risk is measured."""


def _coefficients(keys: Keys, low: float, high: float, shape: tuple[int, ...]) -> Floats:
    """Draw numbers [B, *shape] of random sign with sizes uniform in (low, high)."""
    # One uniform number gives both the sign and the size; coefficients near 0 would make edges that
    # no student can see.
    u = 2 * counter_rng.uniform(keys, shape) - 1
    return np.sign(u) * (low + (high - low) * np.abs(u))


def _scm(edges: Edges, weights: Floats, noise: Floats) -> AdditiveScm:
    """Make a model in the canonical order of the nodes, without scaling of the sums.

    Args:
        edges: the graph.
        weights: [B, n, p, functions]; those of edges that do not exist are ignored.
        noise: [B, n] standard deviations; those of fillers are ignored.
    """
    B, n, p = edges.inputs.shape
    zeros = np.zeros((B, n))
    return AdditiveScm(
        inputs=edges.inputs,
        weights=np.where(edges.exist[:, :, :, None], weights, 0.0),
        outside=np.zeros((B, n, p)),
        offset=zeros,
        shape=np.zeros((B, n), np.int64),
        scale=zeros + 1,
        shift=zeros,
        order=np.broadcast_to(np.arange(n), (B, n)),
        noise=np.where(edges.real, noise, 0.0),
        low=zeros + DOMAIN[0],
        high=zeros + DOMAIN[1],
        real=edges.real,
    )


def _add_confounder(scm: AdditiveScm, strength: Floats) -> AdditiveScm:
    """Add a hidden standard normal node that enters each node with weights [B, n]."""
    B, n, p = scm.inputs.shape
    grown: dict[str, Array] = {
        # One more node, and one more input slot per node that reads it.
        "inputs": np.pad(scm.inputs, [(0, 0), (0, 1), (0, 1)]),
        "weights": np.pad(scm.weights, [(0, 0), (0, 1), (0, 1), (0, 0)]),
        "outside": np.pad(scm.outside, [(0, 0), (0, 1), (0, 1)]),
        # The confounder has the index n, behind all others, but is evaluated first because it is a
        # root.
        "order": np.concatenate([np.full((B, 1), n), scm.order], axis=1),
    }
    # Unaffected nodes keep input 0 at weight 0, the convention for padding.
    grown["inputs"][:, :n, p] = np.where(strength != 0, n, 0)
    grown["outside"][:, :n, p] = strength
    # Fields that are not 0 for the new node; it is real, but it lies beyond the n nodes that are
    # seen or set.
    fresh = {"scale": 1, "noise": 1, "low": DOMAIN[0], "high": DOMAIN[1], "real": True}
    for name in ("offset", "shape", "scale", "shift", "noise", "low", "high", "real"):
        grown[name] = np.pad(
            getattr(scm, name), [(0, 0), (0, 1)], constant_values=fresh.get(name, 0)
        )
    return AdditiveScm(**grown)


def _draw_mixed(keys: Keys, edges: Edges) -> AdditiveScm:
    """Draw linear, quadratic, sine-mix or tanh mechanisms, scaled where risk is measured.

    There the parents are independent, so the variances of a mechanism's parts add up.
    """
    for_kinds, for_weights, for_roots = counter_rng.split(keys, 3)
    n, p = edges.inputs.shape[1:]
    # [B, n, functions]: which functions the mechanism of each node may use.
    mixes = _MIXES[counter_rng.integers(for_kinds, len(_MIXES), (n,))]
    weights = mixes[:, :, None, :] * _coefficients(for_weights, 0.5, 2, (n, p, len(FUNCTIONS)))
    # Noise is 0.1 for effects, as in the post-mortem, and 1 for roots, which are noise alone.
    scm = _scm(edges, weights, np.where(edges.effects, 0.1, 1.0))
    # w^T C w summed over the inputs, with the functions' covariance under U(-4, 4).
    variance = ((scm.weights @ _COVARIANCE) * scm.weights).sum(axis=(2, 3))
    # Outputs get standard deviation 2, so that no node dominates the sum of the nodes' risks. Roots
    # have no variance here: 4.0 makes their scale 1.
    scale = 2 / np.sqrt(np.where(edges.effects, variance, 4.0))
    means = 4 * counter_rng.uniform(for_roots, (n,)) - 2
    return dataclasses.replace(
        scm,
        scale=scale,
        shift=-scale * (scm.weights @ _MEAN).sum(axis=2),
        offset=np.where(edges.real & ~edges.effects, means, 0.0),
    )


def _linear(keys: Keys, edges: Edges) -> AdditiveScm:
    weights = np.zeros((*edges.inputs.shape, len(FUNCTIONS)))
    weights[..., _LINEAR] = _coefficients(keys, 0.5, 2, edges.inputs.shape[1:])
    return _scm(edges, weights, np.full(edges.real.shape, 0.5))


def _hard(keys: Keys, edges: Edges) -> AdditiveScm:
    """Draw confounded models: the observed slope on the strongest parent often misleads."""
    # Section 2.6 of the specification: the hidden node raises the strongest parent by 1.5 and moves
    # the target the other way by 2 to 4, so the observed slope may have the wrong sign.
    for_weights, for_shapes, for_strength = counter_rng.split(keys, 3)
    n, p = edges.inputs.shape[1:]
    direct = np.where(edges.exist, _coefficients(for_weights, 0.7, 2, (n, p)), 0.0)
    every, target = np.arange(len(keys)), before_decoys(edges.size)
    strongest = np.abs(direct[every, target]).argmax(axis=1)
    hidden = np.zeros((len(keys), n))
    # Weights [B, n] of the confounder; all other nodes stay at 0.
    hidden[every, edges.inputs[every, target, strongest]] = 1.5
    sign = np.sign(direct[every, target, strongest])
    hidden[every, target] = -sign * (2 + 2 * counter_rng.uniform(for_strength))
    weights = np.zeros((*direct.shape, len(FUNCTIONS)))
    weights[..., _LINEAR] = direct
    shapes = counter_rng.integers(for_shapes, len(SHAPES), (n,))
    scm = _scm(edges, weights, np.full((len(keys), n), 0.5))
    return _add_confounder(
        dataclasses.replace(scm, shape=np.where(edges.effects, shapes, 0)), hidden
    )


def _hard_with_offsets(keys: Keys, edges: Edges) -> AdditiveScm:
    # Without offsets the family is odd and its base is 0, which a mirrored probe exploits.
    for_rest, for_offsets = counter_rng.split(keys, 2)
    offsets = np.where(
        edges.real, 4 * counter_rng.uniform(for_offsets, edges.real.shape[1:]) - 2, 0.0
    )
    return dataclasses.replace(_hard(for_rest, edges), offset=np.pad(offsets, [(0, 0), (0, 1)]))


def _shuffle(drawn: Drawn, keys: Keys, hidden: int) -> Drawn:
    """Shuffle the nodes of models; fillers and hidden nodes stay in place."""
    scm, visible = drawn.scm, drawn.scm.nodes - hidden
    # Fillers keep their rank above 1, and real nodes get scores below 1: only the real ones move.
    scores = np.broadcast_to(np.arange(1.0, scm.nodes + 1), scm.order.shape).copy()
    scores[:, :visible] = np.where(
        scm.real[:, :visible], counter_rng.uniform(keys, (visible,)), scores[:, :visible]
    )
    old = np.argsort(scores, axis=1)  # old[b, j] is the node that moves to position j
    # The inverse permutation; it renames the entries of inputs and of the order.
    new = np.argsort(old, axis=1)
    every = np.arange(len(keys))[:, None]
    moved: dict[str, Array] = {
        field.name: getattr(scm, field.name)[every, old] for field in dataclasses.fields(scm)
    }
    # Padding must stay at node 0: renaming it would make it the number of a real node.
    used = (moved["weights"] != 0).any(axis=3) | (moved["outside"] != 0)
    moved["inputs"] = np.where(used, new[every[:, :, None], moved["inputs"]], 0)
    moved["order"] = new[every, scm.order]
    return Drawn(AdditiveScm(**moved), new[every[:, 0], drawn.target])


# Which node of the canonical order is the target [B], from keys [B] and the edges.


def _last_effect(keys: Keys, edges: Edges) -> Ints:
    n = edges.effects.shape[1]
    return n - 1 - edges.effects[:, ::-1].argmax(axis=1)


def _any_effect(keys: Keys, edges: Edges) -> Ints:
    scores = counter_rng.uniform(keys, edges.effects.shape[1:])
    return np.where(edges.effects, scores, -1.0).argmax(axis=1)


def _meeting(keys: Keys, edges: Edges) -> Ints:
    return meeting(edges.size)


def _before_decoys(keys: Keys, edges: Edges) -> Ints:
    return before_decoys(edges.size)


_MIXED_TEXT = (
    "mechanisms linear, quadratic, sine mixes or tanh, each with mean 0 and standard deviation 2 "
    "where its parents are uniform in (-4, 4), noise 0.1; roots with means in (-2, 2), noise 1"
)
_HARD_TEXT = (
    "linear, squashed or wavy mechanisms, noise 0.5, and a hidden node that pulls the observed "
    "slope of the target on its strongest parent to the wrong side"
)

FAMILIES: dict[str, Family] = {
    **{
        name: Family(f"{graph.what}; {_MIXED_TEXT}", graph, _draw_mixed, _last_effect)
        for name, graph in GRAPHS.items()
    },
    **{
        f"linear_{name}": Family(
            f"{graph.what}; linear mechanisms, noise 0.5",
            graph,
            _linear,
            _meeting if name == "collider" else _any_effect,
        )
        for name, graph in GRAPHS.items()
    },
    "hard": Family(f"{DECOYS.what}; {_HARD_TEXT}", DECOYS, _hard, _before_decoys, hidden=1),
    "hard_offset": Family(
        f"{DECOYS.what}; {_HARD_TEXT}, and an offset in (-2, 2) in every mechanism",
        DECOYS,
        _hard_with_offsets,
        _before_decoys,
        hidden=1,
    ),
}
"""Families: those called ``linear_`` and ``hard`` are for optimising, the others for learning."""
