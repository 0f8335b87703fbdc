# pyright: basic
"""CausalOptimisation: its scale, its accounts, what it shows, and how hard it is."""

import gymnasium
import numpy as np
import pytest
from driven_episodes import play, score
from violations import check_conformance

from envs.causal.optimisation import baselines as baselines
from envs.causal.optimisation.params import Params
from envs.causal.optimisation.world import _MODEL, _OBSERVED, CausalOptimisation
from envs.contract import counter_rng
from rungwise.validation import InputError


def always(node, value=1.0):
    def agent(world, state, keys):
        return {"choice": np.full(len(keys), node), "value": np.full(len(keys), value)}

    return agent


def test_a_step_earns_its_expectation_or_its_rows():
    _, step, expected = play(always(0), copies=16)
    state = step.state
    scores = np.clip(state.problem.normalise(state.expected), -2, 2)
    np.testing.assert_allclose(expected, scores.T, rtol=1e-5, atol=1e-6)
    mean = state.problem.normalise(state.expected).mean(axis=1)
    np.testing.assert_allclose(step.info["episode_mean"], mean)
    _, step, observed = play(always(0), copies=16, reward="observed")
    drawn = np.clip(step.state.problem.normalise(step.state.experiments.outcomes), -2, 2)
    np.testing.assert_allclose(observed, drawn.T, rtol=1e-5, atol=1e-6)
    assert not np.allclose(observed, expected)


def test_one_model_can_be_the_problem_of_every_episode():
    world, step, _ = play(baselines.oracle, copies=3, scm="fixed-chain-3")
    assert world.choice_names == ("X0", "X1", "X2")
    assert step.observation["mask"].tolist() == [[1, 1, 0]] * 3
    np.testing.assert_allclose(step.info["target_mean"], -11.25, rtol=1e-5)
    np.testing.assert_allclose(step.info["incumbent"], -11.25, rtol=1e-5)
    with pytest.raises(InputError, match="names none of its nodes"):
        CausalOptimisation(Params(scm="ace5"))


# What an intervention does.


def test_at_once_limits_how_many_choices_stay_in_force():
    def in_turn(world, state, keys):
        node = np.argsort(~state.experiments.allowed, axis=1, kind="stable")[:, :2]
        now = node[np.arange(len(keys)), state.experiments.step % 2]
        return {"choice": now, "value": np.where(state.experiments.step % 2, 0.5, -0.5)}

    _, one, _ = play(in_turn, copies=4, interventions=3)
    assert one.state.experiments.is_set.sum(axis=2).tolist() == [[1, 1, 1]] * 4
    _, two, _ = play(in_turn, copies=4, interventions=3, at_once=2)
    seen = two.state.experiments
    assert seen.is_set.sum(axis=2).tolist() == [[1, 2, 2]] * 4
    values = seen.means[seen.is_set].reshape(4, 5)
    np.testing.assert_allclose(np.sort(values[:, 1:3]), [[-2.5, 2.5]] * 4)


def test_choosing_a_node_that_may_not_be_set_only_watches():
    world = CausalOptimisation(Params())
    state, _ = world.reset(counter_rng.make_keys(0, 8))
    action = {"choice": state.problem.target, "value": np.ones(8)}
    after = world.step(state, action).state
    assert not after.experiments.is_set.any()
    np.testing.assert_allclose(after.expected[:, 0], state.problem.base, atol=1e-6)


def test_every_row_is_accounted_for():
    _, step, _ = play(always(0), copies=2, interventions=7, rows=3, observations=11)
    assert step.info["rows_executed"].tolist() == [21, 21]
    assert step.info["rows_observational"].tolist() == [11, 11]
    assert step.info["rows_lookahead"].tolist() == [0, 0]
    assert step.info["rows"].tolist() == [32, 32]
    assert step.terminated.all() and not step.truncated.any()


@pytest.mark.parametrize(
    "fields",
    [{}, {"scm": "linear_chain", "observation": "rows", "graph": True}, {"curriculum": True}],
    ids=["hard", "rows", "curriculum"],
)
def test_environments_pass_every_check(fields):
    def make():
        return gymnasium.make("envs:CausalOptimisation-v0", **fields)

    assert check_conformance(make, episodes=5) == []


# Figures of an episode.


def test_the_figures_of_an_episode_are_those_of_its_steps():
    _, step, _ = play(baselines.explore_then_commit, copies=8, interventions=9)
    info, state = step.info, step.state
    scores = state.problem.normalise(state.expected)
    np.testing.assert_allclose(info["last3"], scores[:, -3:].mean(axis=1))
    np.testing.assert_allclose(info["best"], scores.max(axis=1))
    gain = scores[:, -3:].mean(axis=1) - scores[:, :3].mean(axis=1)
    np.testing.assert_allclose(info["episode_improvement"], gain)
    np.testing.assert_allclose(info["target_mean"], state.expected.mean(axis=1))
    lowest = state.experiments.outcomes.argmin(axis=1)
    np.testing.assert_allclose(info["incumbent"], state.expected[np.arange(8), lowest])


def test_range_utilisation_is_the_span_of_often_set_nodes():
    def three_values(world, state, keys):
        value = np.array([-0.5, 0.0, 0.5])[state.experiments.step % 3]
        return {"choice": state.experiments.allowed.argmax(axis=1), "value": value}

    assert score(three_values, "range_utilisation", copies=4) == pytest.approx(0.5)

    def one_end(world, state, keys):
        return {"choice": state.experiments.allowed.argmax(axis=1), "value": np.ones(len(keys))}

    assert score(one_end, "range_utilisation", copies=4) == 0.5


def test_parent_accuracy_counts_the_targets_own_parents():
    def a_parent(world, state, keys):
        parents = state.problem.parents[np.arange(len(keys)), state.problem.target]
        return {"choice": parents.argmax(axis=1), "value": np.zeros(len(keys))}

    assert score(a_parent, "parent_accuracy", copies=8) == 1
    assert score(baselines.random_choice, "parent_accuracy", scm="linear_chain") < 0.5


def test_unknown_families_and_nodes_are_refused():
    with pytest.raises(InputError, match="no model or family 'hrd'"):
        CausalOptimisation(Params(scm="hrd"))
    with pytest.raises(InputError, match="node from 0 to 7, but it is 8"):
        world = CausalOptimisation(Params())
        world.step(
            world.reset(counter_rng.make_keys(0, 1))[0],
            {"choice": np.array([8]), "value": np.zeros(1)},
        )


def test_random_streams_of_an_episode_lie_beyond_its_steps():
    assert _MODEL != _OBSERVED and min(_MODEL, _OBSERVED) >= 2**32
