# pyright: basic
"""A user's matrix in, a strength pattern out: by a policy or by five numbers."""

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges import baselines, instances, multigrid, solvers, strength_pattern
from envs.edges.params import Params
from envs.edges.world import EdgeSelection
from rungwise.validation import InputError

MATRIX = instances.anisotropic(12, 0.4, 0.01)
RULE = baselines.make_rule_action(2, -0.3, 5)


def policy(act, **env_kwargs):
    return SimpleNamespace(
        metadata={"env": "envs:EdgeSelection-v0", "env_kwargs": env_kwargs}, act=act
    )


def test_a_policy_of_another_family_and_size_takes_any_matrix():
    seen = []

    def act(observation):
        seen.append(observation)
        return RULE

    trained = policy(act, size=32, family="mesh", instances=150, solve=False, sizes=(8, 16))
    C = strength_pattern(sparse.csr_matrix(MATRIX), trained)
    assert seen[0].shape == (31,)
    assert (strength_pattern(MATRIX, RULE) != C).nnz == 0
    assert MATRIX.shape[0] < C.nnz < MATRIX.nnz


def test_an_episode_is_judged_by_the_same_pattern():
    world = EdgeSelection(Params(builder="root_node"), MATRIX)
    state, _ = world.reset(counter_rng.make_keys(3, 1))
    step = world.step(state, RULE[None].astype(np.float32))
    C = strength_pattern(MATRIX, policy(lambda _: RULE.astype(np.float32), builder="root_node"))
    assert (
        multigrid.make_pattern(*[world.unpad_copy(step.state, 0)[0].graph, step.state.kept[0]]) != C
    ).nnz == 0
    made = multigrid.build_hierarchy(MATRIX, "root_node", multigrid.make_strength(C))
    assert made.operator_complexity == step.info["operator_complexity"][0]


def test_single_edges_picked_on_the_graph_become_a_pattern_too():
    def act(observation):
        assert observation["nodes"].shape[0] == 144 and observation["edge_mask"].all()
        return np.zeros((144, 2), np.int64)

    C = strength_pattern(MATRIX, policy(act, action="edges", observation="graph", k=2))
    assert (C.sum(axis=1) >= 3).all() and (C != C.T).nnz == 0


def test_the_advised_call_is_pyamgs_own():
    C = strength_pattern(MATRIX, RULE)
    for builder in ("smoothed_aggregation", "root_node"):
        solver = eval(
            multigrid.format_pyamg_call(builder),
            {"pyamg": __import__("pyamg"), "A": MATRIX, "C": C},
        )
        made = multigrid.build_hierarchy(MATRIX, builder, multigrid.make_strength(C))
        assert [level.A.nnz for level in solver.levels] == pytest.approx(
            [level.A.nnz for level in made.solver.levels], rel=0.05
        )


@pytest.mark.parametrize(
    ("by", "sentence"),
    [
        ([1, 2], "must be a policy or five finite numbers"),
        (policy(None, objective="fsai"), "was trained with objective='fsai'"),
        (
            SimpleNamespace(metadata={"env": "CartPole-v1", "env_kwargs": {}}, act=None),
            "was trained for CartPole-v1",
        ),
    ],
)
def test_what_chooses_no_strength_is_refused_in_a_sentence(by, sentence):
    with pytest.raises(InputError, match=sentence):
        strength_pattern(MATRIX, by)


def test_setup_is_timed_from_the_matrix_to_the_hierarchy():
    world = EdgeSelection(Params(size=12))
    keys = counter_rng.make_keys(0, 2)
    quick = world.measure_player(keys, lambda _: RULE)
    slow = world.measure_player(keys, lambda _: time.sleep(0.2) or RULE)
    assert (quick["setup_seconds"] > 0).all() and (slow["setup_seconds"] > 0.2).all()


def test_an_agent_chooses_the_same_edges_without_the_rewards():
    for objective in ("multigrid", "fsai", "sparsifier"):
        world = EdgeSelection(Params(objective=objective, size=8, steps=3))
        key, latent = counter_rng.make_keys(1, 1), np.linspace(-0.5, 0.5, world.objective.latent)
        state, _ = world.reset(key)
        for _ in range(world.objective.steps):
            state = world.step(state, latent[None].astype(np.float32)).state
        graph, kept = world.choose_on_matrix(
            *world.draw_matrix(key), lambda _, own=latent: own.astype(np.float32)
        )
        np.testing.assert_array_equal(kept, state.kept[0, : len(graph.rows)])


def test_the_levels_below_take_the_evolution_measure():
    import pyamg

    from envs.edges.reproducible import reproducible

    matrix = instances.anisotropic(32, 0.4, 0.01)
    C = strength_pattern(matrix, RULE)
    made = multigrid.build_hierarchy(matrix, "smoothed_aggregation", multigrid.make_strength(C))
    entries = {}
    settings: Any = multigrid.SETTINGS
    for below in ("evolution", "symmetric"):
        with reproducible():
            strength: Any = [("predefined", {"C": C}), below]
            solver = pyamg.smoothed_aggregation_solver(matrix, strength=strength, **settings)
        entries[below] = [level.A.nnz for level in solver.levels]
    assert entries["evolution"] == [level.A.nnz for level in made.solver.levels]
    assert entries["evolution"] != entries["symmetric"]


def test_ruge_and_stuebens_solver_takes_their_own_threshold():
    import pyamg

    from envs.edges.reproducible import reproducible

    matrix, key = instances.anisotropic(24, 0.6, 0.3), counter_rng.make_keys(0, 1)
    found = solvers.evaluate_solver("ruge_stuben", matrix, key)
    complexity = {}
    settings: Any = multigrid.SETTINGS
    for theta in (0.25, 0.5):
        with reproducible():
            strength = ("classical", {"theta": theta})
            solver = pyamg.ruge_stuben_solver(matrix, strength=strength, **settings)
        complexity[theta] = solver.operator_complexity()
    assert found.operator_complexity == complexity[0.25] != complexity[0.5]
