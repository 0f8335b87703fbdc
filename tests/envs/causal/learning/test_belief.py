# pyright: basic
"""The reward that a student with a posterior expects of an intervention."""

from typing import Any

import numpy as np
import pytest

from algos.rollouts.preference_pairs import check_reward_prediction
from envs.causal.learning.params import Params
from envs.causal.learning.reward import RewardTerms
from envs.causal.learning.world import CausalLearning
from envs.causal.optimisation.params import Params as Driving
from envs.causal.optimisation.world import CausalOptimisation
from envs.contract import counter_rng
from rungwise.validation import InputError


def imagined(world, state, node, value):
    copies = len(state.keys)
    action = {"choice": np.full(copies, node), "value": np.full(copies, value)}
    return world.predict_rewards(state, action), world.step(state, action)


def after(world, turns, copies=64):
    """The states after each node of turns was set to a value spread over its domain."""
    state, _ = world.reset(counter_rng.make_keys(3, copies))
    for t, node in enumerate(turns):
        place = 2 * counter_rng.uniform(counter_rng.fold(state.keys, 900 + t)) - 1
        state = world.step(state, {"choice": np.full(copies, node), "value": place}).state
    return state


def test_a_student_expects_most_of_what_it_knows_least():
    # X2 was set often and X4 never: X3 is known and X5 is not.
    world = CausalLearning(Params(interventions=30))
    state = after(world, [1] * 6)
    by_node = [imagined(world, state, node, 0.9)[0] for node in (1, 3)]
    assert (by_node[1] > by_node[0]).mean() > 0.9


@pytest.mark.parametrize(
    ("fields", "reached"), [({}, 0.2), ({"scm": "random", "interventions_per_node": 2}, 0.15)]
)
def test_doing_what_is_imagined_to_be_best_learns_well(fields, reached):
    world, copies = CausalLearning(Params(**fields)), 16
    state, observation = world.reset(counter_rng.make_keys(0, copies))
    rng = np.random.default_rng(0)
    for _ in range(10):
        best = np.full(copies, -np.inf)
        action = {"choice": np.zeros(copies, int), "value": np.zeros(copies)}
        for _ in range(16):
            node = np.where(observation["mask"] > 0, rng.random(observation["mask"].shape), -1)
            tried = {"choice": node.argmax(1), "value": rng.uniform(-1, 1, copies)}
            expected = world.predict_rewards(state, tried)
            for name, part in tried.items():
                action[name] = np.where(expected > best, part, action[name])
            best = np.maximum(best, expected)
        step = world.step(state, action)
        state, observation = step.state, step.observation
    assert np.median(state.risk.excess) < reached


def test_imagined_rewards_do_not_foresee_future_rows():
    # A belief is a function of what the student knows: other true models, the same belief.
    alike, other = (CausalLearning(Params(scm=scm)) for scm in ("fixed-chain-3", "fixed-chain-3"))
    state = after(alike, [0, 1], 8)
    same: Any = alike.get_problem(state).scm
    scm: Any = other.get_problem(state).scm
    scm.weights[:] *= -3
    scm.noise[:] *= 2
    assert (same.weights != scm.weights).any()
    (mine, step), (theirs, moved) = (imagined(w, state, 0, 0.5) for w in (alike, other))
    np.testing.assert_array_equal(mine, theirs)
    assert (step.state.risk.excess != moved.state.risk.excess).any()


def test_bonuses_of_the_choices_are_part_of_what_is_expected():
    plain, bonus = (
        CausalLearning(Params(reward=RewardTerms(coverage=c, undersampled=c))) for c in (0.0, 2.0)
    )
    state = after(plain, [0, 0], 4)
    extra = imagined(bonus, state, 1, 0.5)[0] - imagined(plain, state, 1, 0.5)[0]
    # Two nodes so far, and X2's share of 1/5 is just an equal one.
    np.testing.assert_allclose(extra, 4, rtol=1e-5)


@pytest.mark.parametrize(
    ("world", "sentence"),
    [
        (CausalOptimisation(Driving()), "has no student inside .* pairs='candidates'"),
        (CausalLearning(Params(student="mlp")), "Only a student with a posterior .*'mlp'"),
        (
            CausalLearning(Params(reward=RewardTerms(postmortem=True))),
            "reward.log_gain is 0 and .*improvement 100",
        ),
    ],
    ids=["no student", "no posterior", "no belief"],
)
def test_what_nobody_can_imagine_is_refused_in_a_sentence(world, sentence):
    with pytest.raises(InputError, match=sentence):
        check_reward_prediction(world, "This-v0")
