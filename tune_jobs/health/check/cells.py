"""All actions of a space, as cells whose probabilities must add up to 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from algos.distributions import BinnedValue
from algos.heads import BoxHead, ChooseHead, DiscreteHead, MultiDiscreteHead
from algos.models.base import observation_columns

Array: TypeAlias = np.ndarray[Any, Any]
Cells: TypeAlias = tuple[dict[str, Array], Array, Array]
"""Action columns [M] at the middle of each cell, widths [M] and the draws in each [M]."""

MOST = 2000
"""Cells beyond which an action space is not enumerated."""
VALUES = 200
"""Cells of a value without bins."""


def cells(head: Any, action: Mapping[str, Array]) -> Cells | None:
    """The cells of a head's actions and how many of the drawn ones [N] lie in each.

    None for several values at once and for spaces with too many actions.
    """
    if isinstance(head, DiscreteHead):
        return _choices(head.choices, action["choice"])
    if isinstance(head, MultiDiscreteHead) and np.prod(np.array(head.sizes, float)) <= MOST:
        every = np.stack([c.reshape(-1) for c in np.indices(head.sizes)], 1)
        place = np.ravel_multi_index(tuple(action["choices"].T), tuple(head.sizes))
        return {"choices": every}, np.ones(len(every)), np.bincount(place, minlength=len(every))
    if isinstance(head, ChooseHead) and head.choices * VALUES <= MOST:
        return _choices_with_values(head, action)
    if isinstance(head, BoxHead) and head.size == 1:
        drawn = action["value"][:, 0]
        margin = np.ptp(drawn) + 1e-3
        edges = np.linspace(drawn.min() - margin, drawn.max() + margin, 5 * VALUES + 1)
        middles = ((edges[1:] + edges[:-1]) / 2).astype(np.float32)[:, None]
        return {"value": middles}, np.diff(edges), np.histogram(drawn, edges)[0]
    return None


def _choices(count: int, drawn: Array) -> Cells:
    return {"choice": np.arange(count)}, np.ones(count), np.bincount(drawn, minlength=count)


def _choices_with_values(head: ChooseHead, action: Mapping[str, Array]) -> Cells:
    if head.value is BinnedValue:
        size = head.per_choice - 1
        middles, widths = np.linspace(-1, 1, size), np.ones(size)
        place = np.rint((action["value"] + 1) / 2 * (size - 1)).astype(int)
    else:
        size, edges = VALUES, np.linspace(-1, 1, VALUES + 1)
        middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        place = np.clip(np.searchsorted(edges, action["value"]) - 1, 0, size - 1)
    columns = {
        "choice": np.repeat(np.arange(head.choices), size),
        "value": np.tile(middles, head.choices).astype(np.float32),
    }
    counts = np.bincount(action["choice"] * size + place, minlength=head.choices * size)
    return columns, np.tile(widths, head.choices), counts


def flat(action: Any) -> dict[str, Array]:
    """A batched action as arrays by name."""
    return {name: np.asarray(part) for name, part in observation_columns(action).items()}
