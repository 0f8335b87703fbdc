# pyright: basic
"""Students of the five-node model ace5 that were taught under random interventions."""

import numpy as np

from envs.causal.learning.metric import probe_points
from envs.causal.learning.student import BayesLinear
from envs.causal.models import named
from envs.contract import counter_rng

MODEL = named.ace5().scm


PARENTS = MODEL.parents[0]


def linear():
    return BayesLinear(PARENTS, probe_points(5), features=32, length_scale=1.8, ridge=1e-3)


def batches(copies, steps, seed=0):
    """Rows under random interventions: (rows [B, 50, 5], chosen [B, 5]) for each step."""
    for t in range(steps):
        key = counter_rng.fold(counter_rng.make_keys(seed, copies), t)
        chosen = np.arange(5) == counter_rng.integers(key, 5)[:, None]
        values = 10 * counter_rng.uniform(counter_rng.fold(key, 1), (5,)) - 5
        noise = counter_rng.normal(counter_rng.fold(key, 2), (50, 5))
        yield MODEL.sample(noise, chosen, values), chosen


def taught(student, copies=3, steps=8):
    state = student.reset(counter_rng.make_keys(0, copies), MODEL)
    for rows, chosen in batches(copies, steps):
        state = student.learn(state, rows, chosen)
    return state
