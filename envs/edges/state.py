"""The state of EdgeSelection, and what its agents and traces read of the world."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import gymnasium

from envs.contract.pytree import Array, Bools, Floats, Ints, Keys
from envs.edges.graph import Graph
from envs.edges.instances import Matrix
from envs.edges.objectives import EdgeObjective, Instance
from envs.edges.params import Params


@dataclasses.dataclass(frozen=True)
class State:
    """B copies of the task; their matrices follow from the keys."""

    keys: Keys
    """[B]: the keys of the episodes."""
    step: Ints
    """[B]: steps done."""
    kept: Bools
    """[B, E]: edges chosen so far."""
    scores: Floats
    """[B, E, 4] float32: the current scores of each edge."""
    level: Floats
    """[B]: the quality from which improvement counts."""
    stage: Ints
    """[B]: the stage of the curriculum in which the episode began."""


class Task(Protocol):
    """Data of all episodes, and the accessors of a state that depend on it."""

    params: Params
    """The arguments of the environment."""
    objective: EdgeObjective
    """The purpose of the edges."""
    matrix: Matrix | None
    """The matrix of all episodes, None where each draws its own."""
    sides: tuple[int, ...]
    """The side of the grid in each stage of the curriculum."""
    edges: int
    """The largest number of edges of a graph, E."""
    decisions: int
    """Rows of an ``edges`` action."""
    picks: int
    """Edges picked in each row of an ``edges`` action."""
    action_space: gymnasium.Space[Any]
    """The action space of one copy."""

    def unpad_copy(self, state: State, b: int) -> tuple[Instance, Bools, Floats]:
        """Return copy b without padding: its instance, kept edges [E] and scores [E, 4]."""
        ...

    def choose_edges(self, edge_graph: Graph, kept: Bools, scores: Floats, action: Array) -> Bools:
        """Return the edges [E] that an action of one copy chooses."""
        ...
