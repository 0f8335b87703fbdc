# pyright: basic
"""The simple agents of EdgeSelection: their rank, and the oracle."""

import numpy as np
import pytest

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges.params import Params
from envs.edges.world import EdgeSelection


@pytest.mark.parametrize("objective", ["multigrid", "fsai", "sparsifier"])
def test_simple_agents_rank_as_they_should(objective):
    world = EdgeSelection(Params(objective=objective, size=12, action="edges", steps=4))
    keys = counter_rng.make_keys(0, 3)

    def earned(name):
        state, _ = world.reset(keys)
        total = np.zeros(3)
        for t in range(world.objective.steps):
            step = world.step(state, world.baselines[name](world, state, counter_rng.fold(keys, t)))
            state, total = step.state, total + step.reward
        return total.mean()

    best = {"multigrid": "by_evolution", "fsai": "by_size", "sparsifier": "by_stretch"}[objective]
    assert earned("random") < earned(best)


def test_the_oracle_is_at_least_as_good_as_its_rules():
    world = EdgeSelection(Params(size=10))
    state, _ = world.reset(counter_rng.make_keys(0, 2))
    oracle, rule = (
        world.step(state, world.baselines[name](world, state, state.keys)).reward
        for name in ("oracle", "by_evolution")
    )
    assert (oracle >= rule - 0.05).all()
