"""Random directed acyclic graphs, one for each key of a batch.

Their nodes are in a canonical order: parents have smaller numbers than their children. Graphs
smaller than the largest are filled up with nodes at the end that have no edges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from envs.contract import counter_rng
from envs.contract.pytree import Bools, Floats, Ints, Keys


@dataclasses.dataclass(frozen=True)
class GraphKind:
    """A kind of graph."""

    what: str
    """Description in words."""
    parents: Callable[[Keys, Ints, int], Bools]
    """Draws parents [B, n, n] from keys [B], sizes [B] and n; fillers are ignored."""
    width: int
    """Largest number of parents of a node; 0 for no limit."""
    fewest: int = 2
    """The size of the smallest such graph."""

    def draw(self, keys: Keys, size: Ints, n: int) -> Edges:
        """Draw graphs from keys [B], with these numbers of nodes [B], padded to n."""
        real = np.less(np.arange(n), size[:, None])
        parents = self.parents(keys, size, n) & real[:, :, None] & real[:, None, :]
        # A stable sort of False before True lists the parents in order of their numbers, then the
        # rest.
        inputs = np.argsort(~parents, axis=2, kind="stable")[:, :, : self.width or n - 1]
        # Nodes with fewer than p parents are filled up: the padding points to node 0 and does not
        # exist.
        exist = np.take_along_axis(parents, inputs, axis=2)
        return Edges(size, real, np.where(exist, inputs, 0), exist)


@dataclasses.dataclass(frozen=True)
class Edges:
    """B graphs, as lists of parents."""

    size: Ints
    """[B]: how many nodes there are."""
    real: Bools
    """[B, n]: which nodes are no fillers."""
    inputs: Ints
    """[B, n, p]: the parents of each node, then zeros."""
    exist: Bools
    """[B, n, p]: which of these are parents."""

    @property
    def effects(self) -> Bools:
        """Return which nodes have parents [B, n]."""
        return np.asarray(self.exist.any(axis=2))


def meeting(size: Ints) -> Ints:
    """Return the node [B] at which the edges of a ``collider`` meet."""
    return np.minimum(size - 1, 3)


def before_decoys(size: Ints) -> Ints:
    """Return the node [B] whose children the decoys of ``DECOYS`` are."""
    return size - size // 4 - 1


def _some_earlier(keys: Keys, counts: Ints) -> Bools:
    """Draw random earlier nodes as parents [B, n, n], of the numbers counts [B, n]."""
    n = counts.shape[1]
    # Only smaller numbers may be parents, which makes every drawn graph acyclic by construction.
    earlier = np.tri(n, k=-1, dtype=np.bool_)
    # 2.0 is above every uniform number, so later nodes rank behind all earlier ones.
    scores = np.where(earlier, counter_rng.uniform(keys, (n, n)), 2.0)
    return np.less(_ranks(scores), counts[:, :, None]) & earlier


def _ranks(scores: Floats) -> Ints:
    """Return the rank of each of scores [..., n]."""
    # The argsort of an argsort is the rank; it draws parents without replacement and without a loop
    # over copies.
    return np.argsort(np.argsort(scores, axis=-1, kind="stable"), axis=-1, kind="stable")


def _random(keys: Keys, size: Ints, n: int) -> Bools:
    for_roots, for_counts, for_parents = counter_rng.split(keys, 3)
    # Between 2 roots and half of the nodes, where the size allows it.
    roots = 2 + counter_rng.integers(for_roots, np.maximum(size // 2 - 1, 1))
    counts = 1 + counter_rng.integers(for_counts, 3, (n,))
    return _some_earlier(for_parents, np.where(np.arange(n) < roots[:, None], 0, counts))


def _chain(keys: Keys, size: Ints, n: int) -> Bools:
    # Node i - 1 is the only parent of node i. A read-only view: the caller masks it into a new
    # array.
    return np.broadcast_to(np.eye(n, k=-1, dtype=np.bool_), (len(keys), n, n))


def _fork(keys: Keys, size: Ints, n: int) -> Bools:
    first = np.zeros((len(keys), n, n), np.bool_)
    first[:, 1:, 0] = True
    return first


def _collider(keys: Keys, size: Ints, n: int) -> Bools:
    node, middle = np.arange(n), meeting(size)[:, None]
    return _some_earlier(keys, np.where(node < middle, 0, np.where(node == middle, middle, 1)))


def _erdos_renyi(keys: Keys, size: Ints, n: int) -> Bools:
    # A pair is an edge with probability 2 / (n - 1), for n (n - 1) / 2 pairs: n edges, two at a
    # node.
    share = np.minimum(2 / (size - 1), 1.0)[:, None, None]
    parents = (counter_rng.uniform(keys, (n, n)) < share) & np.tri(n, k=-1, dtype=np.bool_)
    parents[:, 1, 0] = True  # so that some node has a parent
    return parents


def _scale_free(keys: Keys, size: Ints, n: int) -> Bools:
    for_counts, for_parents = counter_rng.split(keys, 2)
    counts = 1 + counter_rng.integers(for_counts, 2, (n,))
    # The first of exponential clocks with these rates: drawing without replacement by weight.
    clocks = -np.log1p(-counter_rng.uniform(for_parents, (n, n)))
    parents = np.zeros((len(keys), n, n), np.bool_)
    # Sequential in the nodes, because preferential attachment depends on the edges drawn so far;
    # all copies advance together.
    for j in range(1, n):
        # One more than the degree, so that nodes without edges can be chosen, too.
        rates = 1 + parents.sum(axis=1) + parents.sum(axis=2)
        parents[:, j, :j] = _ranks(clocks[:, j, :j] / rates[:, :j]) < counts[:, j, None]
    return parents


def _with_decoys(keys: Keys, size: Ints, n: int) -> Bools:
    for_counts, for_parents = counter_rng.split(keys, 2)
    counts = 1 + counter_rng.integers(for_counts, 2, (n,))
    target = before_decoys(size)
    # Shapes [B, n, 1] and [B, 1, n]: the rows of decoys have the target as their only parent.
    is_decoy = np.greater(np.arange(n), target[:, None])[:, :, None]
    is_target = np.equal(np.arange(n), target[:, None, None])
    return np.where(is_decoy, is_target, _some_earlier(for_parents, counts))


DECOYS = GraphKind(
    "one or two parents each, but the last quarter of the nodes, decoys, are children of the node "
    "before them and of no other",
    _with_decoys,
    width=2,
    fewest=3,
)
"""The graphs of the hard families."""

GRAPHS: dict[str, GraphKind] = {
    "random": GraphKind(
        "at least two roots, at most half of the nodes; 1 to 3 parents otherwise",
        _random,
        width=3,
        fewest=3,
    ),
    "chain": GraphKind("one path", _chain, width=1),
    "fork": GraphKind("one parent of all others", _fork, width=1),
    "collider": GraphKind(
        "up to three parents of one node; each node beyond these has one random parent",
        _collider,
        width=3,
    ),
    "erdos_renyi": GraphKind("random edges, two at a node on average", _erdos_renyi, width=0),
    "scale_free": GraphKind(
        "one or two parents, nodes with more edges being more likely ones", _scale_free, width=2
    ),
}
"""The kinds of graph that can be chosen by name."""
