# pyright: basic
"""CausalLearning over the family of random models, with random actions."""

from typing import Any

import numpy as np

from envs.causal.learning.params import Params
from envs.causal.learning.world import CausalLearning
from envs.contract import counter_rng

FAMILY = {"scm": "random", "interventions_per_node": 2}


def world(**fields) -> Any:
    return CausalLearning(Params(**(FAMILY | fields)))


def actions(state, key):
    """A node that exists and a value for each copy, the same for a copy in any batch."""
    settable = state.drawn.settable
    place = counter_rng.integers(counter_rng.fold(key, 1), settable.sum(axis=1))
    node = np.argsort(~settable, axis=1, kind="stable")[np.arange(len(place)), place]
    return {"choice": node, "value": 2 * counter_rng.uniform(counter_rng.fold(key, 2)) - 1}
