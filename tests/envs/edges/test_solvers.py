# pyright: basic
"""The solvers that a learnt choice of edges is compared with."""

import numpy as np
import pytest

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges import instances, solvers
from envs.edges.params import Params
from envs.edges.world import EdgeSelection


def test_competitors_are_measured_on_the_same_matrices():
    found = {
        name: [
            solvers.evaluate_solver(
                name, instances.anisotropic(24, t, 0.01), counter_rng.make_keys(i, 1)
            )
            for i, t in enumerate((0, 0.5))
        ]
        for name in solvers.SOLVERS
    }
    work = {name: np.prod([one.work for one in each]) for name, each in found.items()}
    assert work["root_node_evolution"] < 0.9**2 * work["sa_default"]
    iterations = {name: sum(one.iterations for one in each) for name, each in found.items()}
    assert iterations["sa_evolution"] < iterations["sa_default"]


@pytest.mark.parametrize(
    ("objective", "names"),
    [
        ("multigrid", set(solvers.SOLVERS)),
        ("fsai", {"reference", "none", "optimum"}),
        ("sparsifier", {"reference"}),
    ],
)
def test_competitors_are_described_like_policies(objective, names):
    world = EdgeSelection(Params(objective=objective, size=8))
    found = world.evaluate_competitors(counter_rng.make_keys(0, 2))
    assert set(found) == names
    for metrics in found.values():
        assert set(metrics) - {"setup_seconds"} == set(world.episode_metrics)
        assert np.isfinite(world.summarise(metrics)["work_ratio"])
    usual = found["sa_default" if objective == "multigrid" else "reference"]
    assert world.summarise(usual)["work_ratio"] == pytest.approx(1)
