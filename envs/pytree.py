"""Array types, and operations on whole states: dataclasses of arrays with a leading batch axis.

A state is a frozen dataclass whose fields are arrays ``[B, ...]`` or again such dataclasses. The
functions here walk its fields, so that no state has to spell out how it is indexed or merged.
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
    """Have the C library keep up to 60 MiB of freed memory for the next arrays.

    A step frees and takes the same few megabytes again. By default glibc hands them back to the
    system in between, and fetching them page by page costs as much as half of a causal step. It
    stops doing so once a large block was freed, so one is (elsewhere this changes nothing).
    """
    np.empty(30 * 2**20, np.uint8)


def take(tree: Tree, index: Array | int) -> Tree:
    """Return the copies at ``index`` of a tree [B, ...]: positions [b], a mask [B] or one number."""
    return _map(lambda leaf: leaf[index], tree)


def put(tree: Tree, index: Array, part: Tree) -> Tree:
    """Return a tree [B, ...] with copies ``index`` [b] replaced by those of ``part`` [b, ...]."""
    if index.dtype == np.bool_ and index.all():
        return part

    def replaced(leaf: Array, new: Array) -> Array:
        leaf = leaf.copy()
        leaf[index] = new
        return leaf

    return _map(replaced, tree, part)


def where(mask: Bools, yes: Tree, no: Tree) -> Tree:
    """Return for each copy the tree ``yes`` where the mask [B] is true, else ``no``."""

    def chosen(a: Array, b: Array) -> Array:
        return np.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return _map(chosen, yes, no)


def copy_tree(tree: Tree) -> Tree:
    """Copy every array of a tree."""
    return _map(lambda leaf: leaf.copy(), tree)


def concatenated(*trees: Tree) -> Tree:
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
