# pyright: basic
"""The simple agents of CausalLearning: their rank, their turns, and the cap on choices."""

import numpy as np
import pytest
from causal_episodes import always, median
from causal_families import world

from envs.causal.learning import baselines
from envs.causal.learning.params import Params
from envs.causal.learning.reward import RewardTerms
from envs.causal.learning.world import CausalLearning
from envs.contract import counter_rng
from rungwise.validation import InputError


def geometric_mean(made, agent, copies):
    keys = counter_rng.make_keys(0, copies)
    state, _ = made.reset(keys)
    ended, excess = np.zeros(copies, bool), np.zeros(copies)
    for t in range(16):
        step = made.step(state, agent(made, state, counter_rng.fold(keys, t)))
        fresh = step.terminated & ~ended
        excess[fresh] = step.info["excess_risk"][fresh]
        ended, state = ended | fresh, step.state
    assert ended.all()
    return made.summarise({"excess_risk": excess})["geometric_mean"]


def test_baselines_rank_as_defined():
    found = {
        "random": median(baselines.random_choice),
        "round_robin": median(baselines.round_robin),
        "parents_first": median(baselines.parents_first),
        "design": median(baselines.posterior_variance_design),
    }
    assert found["design"] < found["parents_first"] < found["round_robin"] < found["random"]
    expected = {"random": 1.17, "round_robin": 0.87, "parents_first": 0.23, "design": 0.09}
    assert found == pytest.approx(expected, rel=0.15)


def test_setting_one_node_for_ever_is_bad():
    # X2's own mechanism is never seen: the mean square of 2x + 1 over U(-4, 4) is 22.3.
    assert 22 < median(always(1)) < 24


def test_watching_without_setting_anything_is_not_enough():
    # X5 is a leaf: setting it teaches nothing, so only the rows without intervention count.
    fields = {"interventions": 40, "rows": 1, "observe_every": 1, "observation_rows": 50}
    assert median(always(4, 0.0), copies=32, **fields) > 1


def test_parents_first_goes_round_as_the_graph_says():
    world = CausalLearning(Params())
    state, _ = world.reset(counter_rng.make_keys(0, 1))
    problem = world.get_problem(state)
    turns = baselines.compute_turn_order(problem.parents[0], problem.settable[0])
    assert [world.choice_names[i] for i in turns] == [
        "X2",
        "X4",
        "X2",
        "X1",
    ]


def test_a_design_without_a_posterior_is_refused_in_a_sentence():
    world = CausalLearning(Params(student="mlp"))
    state, _ = world.reset(counter_rng.make_keys(0, 1))
    assert "posterior_variance_design" not in world.baselines
    with pytest.raises(InputError, match="needs a student with a posterior"):
        baselines.posterior_variance_design(world, state, counter_rng.make_keys(0, 1))


def test_baselines_rank_as_they_should():
    made = world()
    found = {
        name: geometric_mean(made, agent, 64)
        for name, agent in made.baselines.items()
        if name != "posterior_variance_design"
    }
    design = geometric_mean(made, made.baselines["posterior_variance_design"], 16)
    ratios = {name: figure / found["round_robin"] for name, figure in found.items()}
    assert ratios["most_children_first"] < 0.4 < 0.8 < ratios["random"] < 1.6
    assert design < found["most_children_first"] / 2


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
