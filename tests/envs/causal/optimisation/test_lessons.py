# pyright: basic
"""The curriculum of CausalOptimisation: its stages, and models padded to one size."""

import numpy as np
import pytest

from envs.causal.models import families
from envs.causal.optimisation import baselines as baselines
from envs.causal.optimisation.lessons import CURRICULUM, Lessons, pad_models
from envs.causal.optimisation.params import Params
from envs.causal.optimisation.world import CausalOptimisation
from envs.contract import counter_rng


def test_stages_bring_their_own_sizes_and_the_largest_fits():
    world = CausalOptimisation(Params(curriculum=True))
    for stage, lesson in enumerate(CURRICULUM):
        world = world.at_stage(stage)
        state, observation = world.reset(counter_rng.make_keys(0, 64))
        assert observation["nodes"].shape[1] == 10
        size = observation["mask"].sum(axis=1) + 1
        assert (size.min(), size.max()) == (lesson.smallest, lesson.largest)
        step = world.step(state, baselines.oracle(world, state, state.keys))
        assert step.info["stage"].tolist() == [stage] * 64
        assert step.reward == pytest.approx(1, abs=1e-5)
    assert [stage.threshold for stage in world.stages] == list(CURRICULUM.values())


def test_models_are_filled_up_without_changing_what_they_do():
    drawn = families.draw_family("hard", counter_rng.make_keys(0, 4), 4, 5)
    wide = pad_models(drawn, hidden=1, nodes=9, inputs=6)
    noise = counter_rng.normal(counter_rng.make_keys(1, 4), (7, 6))
    chosen = np.zeros((4, 6), np.bool_)
    narrow = drawn.scm.sample(noise, chosen, np.zeros((4, 6)))
    place = [0, 1, 2, 3, 4, 8]
    spread = np.zeros((4, 7, 9), noise.dtype)
    spread[:, :, place] = noise
    found = wide.scm.sample(spread, np.zeros((4, 9), np.bool_), np.zeros((4, 9)))
    np.testing.assert_allclose(found[:, :, place], narrow)
    assert (found[:, :, 5:8] == 0).all()


def test_lessons_are_drawn_in_equal_parts():
    lessons = Lessons(tuple(CURRICULUM), 8)
    problem = lessons.draw(counter_rng.make_keys(0, 400), 2)
    confounded = (problem.scm.noise[:, -1] > 0).mean()
    assert 0.4 < confounded < 0.6
