# pyright: basic
"""The cap of CausalLearning: a node that was chosen too often leaves the mask for a while."""

from typing import Any

import numpy as np
import pytest

from envs.causal.learning import baselines
from envs.causal.learning.params import Params
from envs.causal.learning.reward import RewardTerms
from envs.causal.learning.world import CausalLearning
from envs.contract import counter_rng


def masks(agent, copies=4, **fields):
    """What may be chosen before each step [T, B, n], and the last step."""
    world = CausalLearning(Params(**fields))
    state, observation = world.reset(counter_rng.make_keys(0, copies))
    found = []
    for t in range(world.params.interventions):
        found.append(observation["mask"])
        step = world.step(state, agent(world, state, counter_rng.fold(state.keys, t)))
        state, observation = step.state, step.observation
    return np.array(found), step


def always(node):
    def agent(world, state, keys):
        return {"choice": np.full(len(keys), node), "value": np.zeros(len(keys))}

    return agent


def keep_to_mask(world, state, keys):
    """X2 whenever it is free, else X1."""
    free = np.broadcast_to(world.compute_mask(state), (len(keys), 5))[:, 1]
    return {"choice": np.where(free, 1, 0), "value": np.zeros(len(keys))}


def test_a_node_beyond_the_cap_leaves_the_mask_and_comes_back():
    found, _ = masks(keep_to_mask, cap=0.5, interventions=9)
    # Of at least five choices reckoned with, two are .4 and three are .6.
    assert found[:, 0, 1].tolist() == [1, 1, 1, 0, 0, 0, 1, 0, 1]
    assert (found[:, :, [0, 2, 3, 4]] == 1).all()


def test_the_share_of_a_policy_that_keeps_to_the_mask_is_the_cap():
    _, step = masks(keep_to_mask, cap=0.5, interventions=40)
    assert (step.state.recent == 1).mean() == pytest.approx(0.5, abs=1 / 40)


def test_an_exhausted_choice_sets_nothing():
    _, step = masks(always(1), cap=0.5, interventions=20)
    _, free = masks(always(1), interventions=20)
    # Three rows of X2 alone, then only natural ones: X1 is seen, X2's own mechanism too.
    assert step.info["node_excess"][0, 1] < 5 < free.info["node_excess"][0, 1]


def test_where_every_node_is_beyond_the_cap_all_may_be_chosen():
    found, _ = masks(baselines.round_robin, cap=0.1, interventions=12)
    assert (found.sum(axis=2) >= 1).all()
    assert (found[5] == 1).all()


def test_only_recent_choices_count():
    found, _ = masks(keep_to_mask, cap=0.5, interventions=12, reward=RewardTerms(window=4))
    # Of the last four, three are too many (of the five that are reckoned with at least).
    assert found[:, 0, 1].tolist() == [1, 1, 1, 0, 0] * 2 + [1, 1]


def test_fillers_of_families_stay_forbidden():
    fields = {"scm": "random", "smallest": 3, "largest": 8, "interventions": 10}
    found, step = masks(baselines.random_choice, copies=16, cap=0.2, **fields)
    drawn: Any = step.state.drawn
    assert not (found * ~drawn.scm.real).any()


def test_without_a_cap_nothing_is_ever_forbidden():
    found, _ = masks(always(1), interventions=30)
    assert (found == 1).all()
