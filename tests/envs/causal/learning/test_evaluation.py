# pyright: basic
"""What an evaluation says of policies in the causal worlds, and on which models it can."""

import io

import numpy as np
import pytest
from rich.console import Console

from cluster.commands.evaluate import make_comparison_table
from envs.causal.learning.params import Params as Learning
from envs.causal.learning.world import CausalLearning
from envs.causal.optimisation.params import Params
from envs.causal.optimisation.world import CausalOptimisation
from envs.contract import counter_rng


def played(world, name, copies=16):
    """The metrics [N] of whole episodes of a rule."""
    keys = counter_rng.make_keys(0, copies)
    state, _ = world.reset(keys)
    while True:
        step = world.step(state, world.baselines[name](world, state, counter_rng.fold(keys, 7)))
        state = step.state
        if step.terminated.all():
            return {metric: step.info[metric] for metric in world.episode_metrics}


def test_the_ratio_to_round_robin_is_a_geometric_mean():
    world = CausalLearning(Learning())
    own, rule = ({"excess_risk": np.array(x)} for x in ([0.1, 0.4, 0.0], [1.0, 0.1, 1e-6]))
    # A tenth, four times, and nothing beside next to nothing.
    assert world.compare_with_rule(own, rule)["to_round_robin"] == pytest.approx(0.4 ** (1 / 3))
    found = played(world, "round_robin")
    assert world.compare_with_rule(found, found) == {"to_round_robin": 1.0}


def test_optimising_is_compared_with_observed_regression():
    world = CausalOptimisation(Params())
    own, rule = (
        {"episode_mean": np.array(x)} for x in ([0.9, 0.5, 0.2, 0.15], [0.5, 0.55, 0.4, 0.25])
    )
    # Better by 0.4, worse by 0.05, 0.2 and 0.1: all but the third are about as good at least.
    found = world.compare_with_rule(own, rule)
    assert found["gain_over_ols"] == pytest.approx(0.0125) and found["ols_or_better"] == 0.5 + 0.25
    ols = played(world, "obs_ols")
    assert world.compare_with_rule(ols, ols) == {"gain_over_ols": 0.0, "ols_or_better": 1.0}


@pytest.mark.parametrize("world", [CausalLearning(Learning()), CausalOptimisation(Params())])
def test_the_rule_is_played_in_a_first_look_too(world):
    assert (
        world.reference_rule in world.baselines and world.reference_rule not in world.slow_baselines
    )


def test_every_figure_of_an_episode_is_summed_up():
    world = CausalOptimisation(Params())
    found = world.summarise(played(world, "explore_then_commit"))
    assert {"range_utilisation", "episode_improvement", "parent_accuracy"} <= set(found)
    assert found["range_utilisation"] == pytest.approx(1)


def test_all_figures_of_all_rules_fit_on_a_screen():
    world = CausalOptimisation(Params())
    found = {name: played(world, name) for name in world.baselines}
    rule = found[world.reference_rule]
    figures = {n: world.summarise(e) | world.compare_with_rule(e, rule) for n, e in found.items()}
    figures = {"policy": figures["random"], "greedy": figures["obs_ols"], **figures}
    shown = io.StringIO()
    console = Console(width=80, file=shown)
    console.print(make_comparison_table(figures, "16 episodes"))
    text = shown.getvalue()
    assert "…" not in text and f"{figures['oracle']['target_mean']:.3g}" in text


# Which arguments make an environment one of another model.


def test_a_policy_of_a_family_sees_a_model_in_family_form():
    family = {"scm": "random", "interventions_per_node": 2}
    shown = {"scm": "ace5", "like_family": True, "interactions": True}
    assert CausalLearning.make_case_kwargs("ace5", family) == shown
    assert CausalLearning.make_case_kwargs("chain", family) == {"scm": "chain"}  # a family itself
    assert CausalLearning.make_case_kwargs("ace5", {"scm": "ace15"}) == {"scm": "ace5"}
    assert CausalLearning.make_case_kwargs("ace5", {}) == {"scm": "ace5"}


def test_a_target_is_forgotten_with_the_model_that_it_belongs_to():
    before = {"scm": "wet.bif", "target": "grass"}
    assert CausalOptimisation.make_case_kwargs("toy_graph", before)["target"] == ""
    assert "target" not in CausalOptimisation.make_case_kwargs("toy_graph", {})  # chosen just now
