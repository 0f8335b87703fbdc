"""Array types, and operations on whole states: dataclasses of arrays with a leading batch axis.

A state is a frozen dataclass whose fields are arrays ``[B, ...]`` or again such dataclasses. The
functions here visit every array of it, so that no state defines its own indexing or merging.

>>> state = {"position": np.array([1.0, 2.0, 3.0]), "step": np.array([4, 5, 6])}
>>> take(state, np.array([0, 2]))["step"].tolist()
[4, 6]
>>> ended = np.array([False, True, False])
>>> put(state, ended, {"position": np.array([9.0]), "step": np.array([0])})["step"].tolist()
[4, 0, 6]
>>> where(ended, concatenate(state), {"position": -state["position"], "step": state["step"]})[
...     "position"
... ].tolist()
[-1.0, 2.0, -3.0]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Ints: TypeAlias = npt.NDArray[np.int64]
Keys: TypeAlias = npt.NDArray[np.uint64]
Observation: TypeAlias = Array | dict[str, Array]
"""A batched observation: [B, ...], or one such array for each name of a Dict space."""

Tree = TypeVar("Tree")


def keep_freed_memory() -> None:
    """Make the C library keep up to 60 MiB of freed memory for the next arrays.

    Each step frees and allocates the same few megabytes. By default glibc returns them to the
    system in between, and the page faults take as long as half of a causal step. glibc raises its
    threshold once a large block was freed, so this frees one (other C libraries are unaffected).
    """
    np.empty(30 * 2**20, np.uint8)


def take(tree: Tree, index: Array | int) -> Tree:
    """Return the copies at ``index`` of a tree [B, ...]: positions [b], a mask [B] or a number."""
    return _map(lambda leaf: leaf[index], tree)


def put(tree: Tree, index: Array, part: Tree) -> Tree:
    """Return a tree [B, ...] with copies ``index`` [b] replaced by those of ``part`` [b, ...]."""
    if index.dtype == np.bool_ and index.all():
        return part  # the common case of episodes of equal length: no copy is needed

    def replace(leaf: Array, new: Array) -> Array:
        leaf = leaf.copy()
        leaf[index] = new
        return leaf

    return _map(replace, tree, part)


def where(mask: Bools, yes: Tree, no: Tree) -> Tree:
    """Return for each copy the tree ``yes`` where the mask [B] is true, else ``no``."""

    def choose(a: Array, b: Array) -> Array:
        return np.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return _map(choose, yes, no)


def copy_tree(tree: Tree) -> Tree:
    """Copy every array of a tree."""
    return _map(lambda leaf: leaf.copy(), tree)


def concatenate(*trees: Tree) -> Tree:
    """Concatenate trees [B1, ...], [B2, ...], ... of the same structure along the batch axis."""
    return _map(lambda *leaves: np.concatenate(leaves), *trees)


def _map(function: Callable[..., Array], *trees: Any) -> Any:
    """Apply a function to the corresponding arrays of trees of the same structure."""
    first = trees[0]
    if isinstance(first, np.ndarray):
        return function(*trees)
    if isinstance(first, dict):
        names = cast("dict[str, Any]", first)
        return {name: _map(function, *(tree[name] for tree in trees)) for name in names}
    if isinstance(first, tuple):
        return tuple(_map(function, *parts) for parts in zip(*trees, strict=True))
    parts = {
        field.name: _map(function, *(getattr(tree, field.name) for tree in trees))
        for field in dataclasses.fields(first)
    }
    return dataclasses.replace(first, **parts)
