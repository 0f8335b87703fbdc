# pyright: basic
"""What a world offers if it defines no more than it must, and the stages of a curriculum."""

import numpy as np
import pytest
from staged_world import Ladder, Params

from envs.causal.optimisation.params import Params as OptimisationParams
from envs.causal.optimisation.world import CausalOptimisation
from envs.contract import counter_rng
from envs.contract.world import Comparison, validate_choices
from rungwise.validation import InputError

KEYS = counter_rng.make_keys(0, 3)


def test_a_minimal_world_offers_nothing_beyond_its_episodes():
    world = Ladder(Params(stages=0))
    state, _ = world.reset(KEYS)
    assert world.at_stage(2) is world and world.at_last_stage() is world
    assert world.with_policy_weights({}) is world
    assert world.charge_lookahead(state, 3) is state
    assert world.get_network_weights("random") is None and world.predict_rewards(state, 0) is None
    assert world.compute_choice_losses(state) is None and world.trace_episode([state], []) is None
    assert world.compute_evaluation_metrics(state) == world.evaluate_competitors(KEYS) == {}
    assert world.compare_with_rule({}, {}) == world.measure_player(KEYS, lambda seen: 0) == {}
    assert world.list_examples(state) == [] and world.make_case_kwargs("a", {}) == {}
    assert world.describe_comparison(KEYS, {}, (), np.zeros(3), "c") == Comparison()
    with pytest.raises(InputError, match=r"Ladder has no reset options, but it got \['goal'\]"):
        world.reset_to(KEYS, {"goal": 1})


@pytest.mark.parametrize(
    "world", [Ladder(Params()), CausalOptimisation(OptimisationParams(curriculum=True))]
)
def test_a_stage_makes_a_copy_and_leaves_the_world_as_it_is(world):
    later = world.at_stage(2)
    assert np.all(later.reset(KEYS)[0].stage == 2)
    assert np.all(world.reset(KEYS)[0].stage == 0)
    assert world.at_last_stage().stage == len(world.stages) - 1


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ([0.0, 1.0], "needs 2 whole numbers"),
        ([0], "needs 2 whole numbers, one for each copy, but it has the shape"),
        ([0, -2], "must be a slot, but it is -2"),
        ([3, 4], "but it is 3"),
    ],
)
def test_choices_that_are_none_are_refused(action, sentence):
    with pytest.raises(InputError, match=sentence):
        validate_choices(np.array(action), 2, -1, 3, "a slot")
