# pyright: basic
"""The cap of CausalLearning: a node that was chosen too often leaves the mask for a while."""

from typing import Any

import numpy as np
import pytest

from envs import counter_rng
from envs.causal.learning import baselines
from envs.causal.learning.metric import Risk
from envs.causal.learning.params import Params
from envs.causal.learning.reward import POSTMORTEM, RewardTerms, compute_rewards
from envs.causal.learning.world import CausalLearning
from envs.validation import InputError


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


def heeding(world, state, keys):
    """X2 whenever it is free, else X1."""
    free = np.broadcast_to(world.compute_mask(state), (len(keys), 5))[:, 1]
    return {"choice": np.where(free, 1, 0), "value": np.zeros(len(keys))}


def test_a_node_beyond_the_cap_leaves_the_mask_and_comes_back():
    found, _ = masks(heeding, cap=0.5, interventions=9)
    # Of at least five choices reckoned with, two are .4 and three are .6.
    assert found[:, 0, 1].tolist() == [1, 1, 1, 0, 0, 0, 1, 0, 1]
    assert (found[:, :, [0, 2, 3, 4]] == 1).all()


def test_the_share_of_a_heeding_policy_stays_at_the_cap():
    _, step = masks(heeding, cap=0.5, interventions=40)
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
    found, _ = masks(heeding, cap=0.5, interventions=12, reward=RewardTerms(window=4))
    # Of the last four, three are too many (of the five that are reckoned with at least).
    assert found[:, 0, 1].tolist() == [1, 1, 1, 0, 0] * 2 + [1, 1]


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("random", {}),
        ("round_robin", {}),
        ("parents_first", {}),
        ("posterior_variance_design", {}),
        ("most_children_first", {"scm": "random", "smallest": 4, "largest": 8}),
        ("round_robin", {"scm": "random", "smallest": 4, "largest": 8}),
    ],
)
def test_every_rule_chooses_among_what_may_be_chosen(rule, fields):
    world = CausalLearning(Params(cap=0.25, reward=RewardTerms(window=6), **fields))
    state, observation = world.reset(counter_rng.make_keys(0, 8))
    forbidden = 0
    for t in range(10):
        keys = counter_rng.fold(state.keys, t)
        choice = world.baselines[rule](world, state, keys)["choice"]
        assert observation["mask"][np.arange(8), choice].all()
        forbidden += (observation["mask"] == 0).sum() - (~world.get_problem(state).scm.real).sum()
        step = world.step(state, {"choice": choice, "value": np.zeros(8)})
        state, observation = step.state, step.observation
    assert forbidden > 0  # the cap did take something away


def test_a_rule_takes_its_turns_again_where_nothing_is_forbidden():
    world = CausalLearning(Params())
    state, _ = world.reset(counter_rng.make_keys(0, 2))
    found = {"round_robin": [], "parents_first": []}
    for t in range(7):
        for rule, nodes in found.items():
            nodes.append(int(world.baselines[rule](world, state, state.keys)["choice"][1]) + 1)
        state = world.step(state, {"choice": np.full(2, t % 5), "value": np.zeros(2)}).state
    assert found == {"round_robin": [1, 2, 3, 4, 5, 1, 2], "parents_first": [2, 4, 2, 1, 2, 4, 2]}


def test_fillers_do_not_count_in_the_diversity_terms():
    nothing = Risk(np.zeros((2, 3)), np.ones(2), np.ones(2))
    counts, chosen = np.array([[5, 1, 0], [2, 2, 2]]), np.array([1, 0])
    real = np.ones((1, 3), bool)
    wide, filled = (np.pad(x, [(0, 0), (0, 5)]) for x in (counts, real))
    alone = compute_rewards(POSTMORTEM, nothing, nothing, counts, real, chosen)
    np.testing.assert_array_equal(
        compute_rewards(POSTMORTEM, nothing, nothing, wide, filled, chosen), alone
    )
    # 5/6 is 0.4333 beyond the limit; two nodes of three; 1/3 - 1/6 below an equal share.
    np.testing.assert_allclose(alone[0], [0, 0, -200 * (5 / 6 - 0.4), 20, 200 / 6])
    # All alike: the entropy is at its maximum, so that no bonus is paid.
    np.testing.assert_allclose(alone[1], [0, 0, 0, 30, 0])


def test_fillers_of_families_stay_forbidden():
    fields = {"scm": "random", "smallest": 3, "largest": 8, "interventions": 10}
    found, step = masks(baselines.random_choice, copies=16, cap=0.2, **fields)
    drawn: Any = step.state.drawn
    assert not (found * ~drawn.scm.real).any()


def test_without_a_cap_nothing_is_ever_forbidden():
    found, _ = masks(always(1), interventions=30)
    assert (found == 1).all()
    with pytest.raises(InputError, match=r"Params\.cap must be"):
        Params(cap=1.5)
