"""The state of CausalLearning, and what its agents, observations and traces read of the world."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from envs.causal.learning.metric import Risk
from envs.causal.learning.params import Params
from envs.causal.learning.problem import Problem
from envs.causal.learning.student import Student
from envs.contract.pytree import Bools, Floats, Ints, Keys


@dataclasses.dataclass(frozen=True)
class State:
    """B copies of the task."""

    keys: Keys
    """[B]: the keys of the episodes."""
    step: Ints
    """[B]: interventions done."""
    drawn: Problem | tuple[()]
    """The problem of each copy, if it is not the same for all."""
    student: Any
    """The students' own states."""
    histogram: Floats
    """[B, n, bins]: how often each node was set to a value in each part of its domain."""
    recent: Ints
    """[B, window]: the latest choices, -1 where there is none yet."""
    risk: Risk
    """The errors that remain."""
    at_start: Floats
    """[B]: the excess risk before the first intervention."""
    best: Floats
    """[B]: the lowest excess risk so far that counted as a fall."""
    steps_since_fall: Ints
    """[B]: steps since then."""
    rows_executed: Ints
    """[B]: rows drawn under interventions."""
    rows_observational: Ints
    """[B]: rows drawn without."""
    rows_lookahead: Ints
    """[B]: rows drawn under interventions that were only tried."""


class Task(Protocol):
    """Data of all episodes, and the accessors of a state that depend on it."""

    params: Params
    """The arguments of the environment."""
    student: Student[Any]
    """The learner of the mechanisms."""
    choice_names: tuple[str, ...]
    """The names of the n nodes."""

    def get_problem(self, state: State) -> Problem:
        """Return what the copies are to learn: one model (C = 1), or one each (C = B)."""
        ...

    def compute_mask(self, state: State) -> Bools:
        """Return which nodes may be set now, [C, n] or, with a cap on choices, [B, n]."""
        ...

    def compute_setting(self, state: State, node: Ints, position: Floats) -> tuple[Bools, Floats]:
        """Return which nodes are set [B, n] and their values [B, n]."""
        ...
