# pyright: basic
"""Curricula by size and by anisotropy: each stage until the solver saves enough work."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyamg")

from algos.rollouts.curriculum import Curriculum
from envs.contract import counter_rng
from envs.edges import baselines
from envs.edges.params import Params
from envs.edges.world import EdgeSelection
from rungwise.validation import InputError


def test_each_stage_draws_matrices_of_its_size():
    world = EdgeSelection(Params(size=10, sizes=(5, 8), mastered=0.7))
    assert [(s.name, s.threshold) for s in world.stages] == [
        ("5 x 5", 0.7),
        ("8 x 8", 0.7),
        ("10 x 10", 0.7),
    ]
    for stage, side in enumerate((5, 8, 10)):
        world = world.at_stage(stage)
        state, _ = world.reset(counter_rng.make_keys(0, 2))
        assert world.unpad_copy(state, 1)[0].graph.matrix.shape[0] == side**2


@pytest.mark.parametrize("family", ["anisotropic", "variable", "mesh"])
def test_each_stage_draws_anisotropies_from_its_smallest(family):
    world = EdgeSelection(Params(size=6, epsilons=(0.1, 0.01), family=family))
    assert [s.name for s in world.stages] == ["eps from 0.1", "eps from 0.01", "eps from 0.001"]
    keys = counter_rng.make_keys(0, 60)
    for stage, smallest in enumerate((0.1, 0.01, 0.001)):
        drawn = world.at_stage(stage).draw_case_parameters(keys)["epsilon"]
        assert smallest <= drawn.min() < 1.5 * smallest and drawn.max() <= 0.5
    state, _ = world.at_stage(1).reset(keys[:2])
    assert state.stage.tolist() == [1, 1]


def test_the_last_anisotropies_are_those_without_a_curriculum():
    key = counter_rng.make_keys(3, 1)
    plain, staged = (EdgeSelection(Params(size=6, epsilons=e)) for e in ((), (0.1,)))
    mild, _ = staged.draw_matrix(key)
    last, _ = staged.at_stage(1).draw_matrix(key)
    expected, _ = plain.draw_matrix(key)
    assert (last != expected).nnz == 0 and (mild != expected).nnz > 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"epsilons": (0.7,)}, r"between 0.001, which comes last, and 0.5"),
        ({"epsilons": (0.1,), "sizes": (8,)}, "exclude each other"),
        ({"epsilons": (0.1,), "family": "gallery"}, "family='gallery'"),
        ({"epsilons": (0.1,), "objective": "sparsifier"}, "family='weighted_grid'"),
        ({"epsilons": (0.1,), "matrix": "A.mtx"}, "matrix='A.mtx'"),
    ],
)
def test_a_curriculum_that_means_nothing_is_refused(fields, said):
    with pytest.raises(InputError, match=said):
        Params(**fields)


def test_an_episode_goes_on_in_the_size_in_which_it_was_begun():
    fields: dict[str, Any] = {"objective": "fsai", "action": "edges", "observation": "graph"}
    world, small = (
        EdgeSelection(Params(size=9, sizes=(6,), **fields)),
        EdgeSelection(Params(size=6, **fields)),
    )
    key = counter_rng.make_keys(4, 1)
    state, seen = world.reset(key)
    alone, _ = small.reset(key)
    assert seen["node_mask"].sum() == 36 and seen["nodes"].shape == (1, 81, 7)
    picks = np.zeros((1, 81, 3), np.int64)
    world = world.at_stage(1)
    one, two = world.step(state, picks), small.step(alone, picks[:, :36])
    assert one.reward[0] == two.reward[0] and one.info["stage"][0] == 0
    assert not one.info["row_reward"][0, 36:].any()


def test_a_larger_size_begins_once_enough_work_is_saved():
    world = EdgeSelection(Params(size=10, sizes=(6,), mastered=0.8))
    progress = Curriculum(world)
    stage, waited = np.zeros(30), world.stages[0].episodes
    progress.record_episodes([{"work_ratio": np.full(30, 0.9), "stage": stage}] * 3)
    assert progress.stage == 0
    progress.record_episodes(
        [{"work_ratio": np.full(30, 0.7), "stage": stage}] * (waited // 30 + 1)
    )
    assert progress.stage == 1


def test_a_latent_sparsifier_grows_too():
    world = EdgeSelection(Params(objective="sparsifier", size=8, sizes=(6,), steps=3))
    state, _ = world.reset(counter_rng.make_keys(0, 2))
    rule = np.tile(baselines.make_rule_action(2, -0.5, 5), (2, 1)).astype(np.float32)
    for _ in range(3):
        step = world.step(state, rule)
        state = step.state
    assert step.terminated.all() and np.isfinite(step.reward).all()
