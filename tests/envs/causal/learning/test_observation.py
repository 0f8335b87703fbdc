# pyright: basic
"""The observation of CausalLearning: its scale, and what it must not show."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from causal_families import FAMILY

from envs.causal.learning.observation import BINS, ValueHistogram
from envs.causal.learning.params import Params
from envs.causal.learning.world import CausalLearning
from envs.contract import counter_rng


@pytest.mark.parametrize("fields", [{}, FAMILY], ids=["one model", "a family"])
def test_observations_are_finite_and_about_unit_scale(fields):
    env = gymnasium.make_vec("envs:CausalLearning-v0", 64, **fields)
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(25):
        assert observation in env.observation_space
        assert np.abs(observation["nodes"]).max() < 3
        observation, *_ = env.step(env.action_space.sample())


def test_observations_do_not_betray_the_truth():
    world, other = CausalLearning(Params()), CausalLearning(Params())
    problem = other.get_problem(other.reset(counter_rng.make_keys(0, 1))[0])
    truth = problem.truth
    wrong = dataclasses.replace(truth, target=tuple(part + 1.0 for part in truth.target))
    other._common = dataclasses.replace(problem, truth=wrong)
    action = {"choice": np.array([1]), "value": np.array([0.3])}
    seen, excess = [], []
    for one in (world, other):
        state, _ = one.reset(counter_rng.make_keys(0, 1))
        step = one.step(state, action)
        seen.append(step.observation["nodes"])
        excess.append(step.info["node_excess"])
    assert (excess[0] != excess[1]).any()
    np.testing.assert_array_equal(*seen)


def test_values_are_counted_in_equal_parts_of_the_domain():
    histogram = ValueHistogram.empty(2, 3)
    for position in (-1.0, -0.7, 0.0, 0.99, 1.0):
        nodes, positions = np.array([0, 2]), np.array([position, -1.0])
        kept, histogram = histogram, ValueHistogram.add(histogram, nodes, positions)
        assert histogram.sum() == kept.sum() + 2  # the counts given are left alone
    assert histogram[0, 0].tolist() == [1, 1, 0, 1, 0, 0, 2] and BINS == 7
    assert histogram[1, 2].tolist() == [5, 0, 0, 0, 0, 0, 0]
    assert not histogram[0, 1:].any() and not histogram[1, :2].any()
