"""The state of CausalOptimisation."""

from __future__ import annotations

import dataclasses

from envs.causal.optimisation.observation import Experiments
from envs.causal.optimisation.problem import Problem
from envs.contract.pytree import Floats, Ints, Keys


@dataclasses.dataclass(frozen=True)
class State:
    """B copies of the task."""

    keys: Keys
    """[B]: the keys of the episodes."""
    stage: Ints
    """[B]: the stage of the curriculum that each began in."""
    problem: Problem
    """The truth."""
    experiments: Experiments
    """The experimenters' observations."""
    chosen: Ints
    """[B, T]: the node chosen at each step, -1 for those to come."""
    last_chosen_step: Ints
    """[B, n]: the step at which each node was last chosen, -1 for never."""
    position: Floats
    """[B, n]: the position last chosen for it."""
    expected: Floats
    """[B, T]: the target's expectation under each intervention; 0 for those to come."""
    rows_lookahead: Ints
    """[B]: rows drawn under interventions that were only tried."""

    @property
    def step(self) -> Ints:
        """[B]: interventions done."""
        return self.experiments.step
