# pyright: basic
"""The observation of CausalOptimisation: its symmetry, scale and rows."""

import dataclasses
from typing import Any, cast

import numpy as np
from driven_episodes import play

from envs.causal.optimisation import baselines as baselines
from envs.causal.optimisation.observation import describe_observed_rows, rows, statistics
from envs.causal.optimisation.params import Params
from envs.causal.optimisation.world import CausalOptimisation
from envs.contract import counter_rng


def test_renumbering_the_nodes_renumbers_the_observation():
    _, step, _ = play(baselines.random_choice, copies=4)
    seen = step.state.experiments
    order = np.random.default_rng(0).permutation(seen.allowed.shape[1])
    names = ("allowed", "real", "low", "high", "observed", "means", "is_set", "position")
    parts: dict[str, Any] = {name: getattr(seen, name)[..., order] for name in names}
    parts["target"] = np.argsort(order)[seen.target]
    basis = [parts[name] for name in ("observed", "target", "real", "low", "high")]
    renumbered = dataclasses.replace(seen, **parts, natural=describe_observed_rows(*basis))
    old, new = statistics(seen), statistics(renumbered)
    np.testing.assert_allclose(new["nodes"], old["nodes"][:, order], atol=1e-5)
    np.testing.assert_allclose(new["context"], old["context"], atol=1e-5)
    np.testing.assert_array_equal(new["mask"], old["mask"][:, order])
    np.testing.assert_allclose(rows(renumbered), rows(seen)[:, :, order], atol=1e-4)


def test_models_that_gave_the_same_rows_look_the_same():
    """The truth may be another one: no observation changes with it."""
    _, step, _ = play(baselines.random_choice, copies=4, observation="rows")
    shown = cast("dict[str, np.ndarray]", step.observation)
    world = CausalOptimisation(Params(observation="rows"))
    other = world.reset(counter_rng.make_keys(99, 4))[0].problem
    changed = dataclasses.replace(
        step.state,
        problem=dataclasses.replace(other, allowed=step.state.problem.allowed),
        expected=step.state.expected + 1,
    )
    seen = world._observe(changed)
    for name, part in shown.items():
        np.testing.assert_array_equal(seen[name], part)


def test_rows_are_shown_newest_last_with_zeros_before_the_first():
    world = CausalOptimisation(Params(observation="rows", observations=6, interventions=5))
    state, first = world.reset(counter_rng.make_keys(0, 2))
    assert (first["rows"][:, :5] == 0).all()
    assert (first["rows"][:, 5:] != 0).any(axis=(2, 3)).all()
    node = state.experiments.allowed.argmax(axis=1)
    step = world.step(state, {"choice": node, "value": np.ones(2)})
    shown = step.observation["rows"]
    assert (shown[:, :4] == 0).all()
    was_set = shown[:, :, :, 2]
    assert was_set.sum() == 2 and (was_set[np.arange(2), -1, node] == 1).all()
    existing = shown[:, 4:][step.state.experiments.allowed[:, None].repeat(7, 1)]
    assert abs(existing[:, 0].mean()) < 1


def test_forbidden_nodes_are_observed_and_fillers_are_empty():
    _, observation = CausalOptimisation(Params(scm="complete_graph")).reset(
        counter_rng.make_keys(0, 1)
    )
    assert observation["mask"].sum() == 3
    assert observation["nodes"][0].any(axis=1).all()
    state, observation = CausalOptimisation(Params()).reset(counter_rng.make_keys(0, 64))
    np.testing.assert_array_equal(observation["nodes"].any(axis=2), state.problem.real)
    assert not state.problem.real.all()


def test_the_graph_is_shown_only_if_it_is_known():
    world = CausalOptimisation(Params())
    assert "parents" not in world.reset(counter_rng.make_keys(0, 2))[1]
    world = CausalOptimisation(Params(graph=True))
    state, observation = world.reset(counter_rng.make_keys(0, 2))
    np.testing.assert_array_equal(observation["parents"], state.problem.parents)


def test_observations_are_of_about_unit_scale():
    _, step, _ = play(baselines.random_choice)
    nodes = step.observation["nodes"]
    assert np.abs(nodes).max() < 8
    assert 0.1 < nodes[step.state.experiments.allowed].std() < 1.5
