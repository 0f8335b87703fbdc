# pyright: basic
"""Worlds whose readers are baked in a few seconds."""

from typing import Any

import numpy as np

from envs.thoughts.params import Params
from envs.thoughts.reader import Baking
from envs.thoughts.world import QuietThoughts

QUICK = Baking(width=32, steps=300, passages=64, lr=4e-3)
"""Enough to read a whole thought, not to think one."""
UNTAUGHT = Baking(width=16, steps=0)
"""For tests in which it does not matter what the reader says."""


def small(baking: Baking = UNTAUGHT, **changed: Any) -> QuietThoughts:
    """Sums of four terms modulo 4, thoughts of up to three tokens."""
    about: dict[str, Any] = {"modulus": 4, "terms": 4, "longest": 3, "reader": baking}
    return QuietThoughts(Params(**about | changed))


def played(world, state, actions):
    """The steps of the actions [T][B]."""
    steps = []
    for action in actions:
        steps.append(world.step(state, np.asarray(action)))
        state = steps[-1].state
    return steps


def thinking(world, state, agent):
    """The last step of an agent's thoughts, which all end."""
    steps = []
    for number in range(world.params.longest + 1):
        keys = state.keys + np.uint64(number)
        steps = played(world, state, [world.baselines[agent](world, state, keys)])
        state = steps[-1].state
    return state
