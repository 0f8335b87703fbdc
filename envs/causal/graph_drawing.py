"""Parts of an episode trace that both causal families share: the drawn graph and table cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from envs.contract.pytree import Bools, Floats


class DrawnGraph:
    """The nodes and edges of a model, without filler nodes and hidden nodes."""

    def __init__(self, names: Sequence[str], parents: Bools, real: Bools) -> None:
        self.nodes: list[int] = np.flatnonzero(real[: len(names)]).tolist()
        self.names = [names[node] for node in self.nodes]
        inside = parents[np.ix_(self.nodes, self.nodes)]
        self.edges: list[list[int]] = [[int(i), int(j)] for j, i in np.argwhere(inside)]

    def locate_action(
        self, action: Mapping[str, Any], may: Bools, low: Floats, high: Floats
    ) -> tuple[list[int], float]:
        """Return the index of the node that an action [1] sets (none if illegal), and its value."""
        node, position = int(action["choice"][0]), float(np.clip(action["value"][0], -1, 1))
        value = low[0, node] + (position + 1) / 2 * (high[0, node] - low[0, node])
        return [self.nodes.index(node)] if may[node] else [], float(value)

    def find_edges_into(self, chosen: Sequence[int]) -> list[int]:
        """Return the indices of the edges that point into the nodes that are set."""
        return [index for index, (_, to) in enumerate(self.edges) if to in chosen]


def format_setting(drawn: DrawnGraph, chosen: Sequence[int], value: float) -> list[str]:
    """Return two table cells: the node that was set, and its value."""
    return [drawn.names[chosen[0]], format_figure(value)] if chosen else ["nothing", ""]


def format_figure(value: float) -> str:
    """Format a number with three digits, without traces of rounding: 0.0712, 12.3, 0."""
    return f"{round(value, 6) + 0.0:.3g}"
