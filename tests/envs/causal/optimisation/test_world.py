# pyright: basic
"""CausalOptimisation: its scale, its accounts, what it shows, and how hard it is."""

import dataclasses
from typing import Any, cast

import gymnasium
import numpy as np
import pytest

from envs import counter_rng
from envs.causal.models import families
from envs.causal.models.named import load_model
from envs.causal.models.scm import Scm
from envs.causal.optimisation import baselines as baselines
from envs.causal.optimisation.curriculum import CURRICULUM, Lessons, pad_models
from envs.causal.optimisation.observation import describe_observed_rows, rows, statistics
from envs.causal.optimisation.params import Params
from envs.causal.optimisation.problem import noise_rows, simulate_target, solve_problem
from envs.causal.optimisation.world import CausalOptimisation
from envs.checking.env_checker import check_conformance
from envs.factory import make_vector
from envs.pytree import take
from envs.validation import InputError


def play(agent, copies=64, seed=0, **fields: Any):
    """The world, the last step of one episode of an agent, and its rewards [T, B]."""
    world = CausalOptimisation(Params(**fields))
    state, _ = world.reset(counter_rng.make_keys(seed, copies))
    keys, rewards = counter_rng.make_keys(77, copies), []
    for t in range(world.params.interventions):
        step = world.step(state, agent(world, state, counter_rng.fold(keys, t)))
        state = step.state
        rewards.append(step.reward)
    return world, step, np.array(rewards)


def score(agent, metric="episode_mean", **fields: Any):
    return float(play(agent, **fields)[1].info[metric].mean())


def always(node, value=1.0):
    def agent(world, state, keys):
        return {"choice": np.full(len(keys), node), "value": np.full(len(keys), value)}

    return agent


# The scale.


@pytest.mark.parametrize("family", ["linear_erdos_renyi", "hard"])
def test_the_oracle_scores_1_and_chance_0(family):
    assert score(baselines.oracle, scm=family) == pytest.approx(1, abs=1e-6)
    assert score(baselines.random_choice, scm=family) == pytest.approx(0, abs=0.08)


def test_the_optimum_of_a_linear_model_is_exact():
    """In closed form: do(x_i) moves the target by the sum over paths, (I - W)^-1."""
    world = CausalOptimisation(Params(scm="linear_random", smallest=4, largest=7))
    problem = world.reset(counter_rng.make_keys(0, 32))[0].problem
    for b in range(32):
        scm, target, n = take(problem.scm, np.array([b])), problem.target[b], 7
        weights = np.zeros((n, n))
        for j in range(n):
            np.add.at(weights[j], scm.inputs[0, j], scm.weights[0, j, :, 0])
        total = np.linalg.inv(np.eye(n) - weights)[target]
        best = min(-5 * abs(total[i]) for i in range(n) if problem.allowed[b, i])
        assert problem.base[b] == pytest.approx(0, abs=1e-5)
        assert problem.optimum[b] == pytest.approx(best, rel=1e-5)


def test_the_optimum_of_a_hard_model_is_that_of_many_rows():
    world = CausalOptimisation(Params(scm="hard_offset"))
    problem = world.reset(counter_rng.make_keys(0, 6))[0].problem
    noise, n = noise_rows(1024, world.source.nodes), len(world.choice_names)
    every = np.arange(6)
    lowest = np.full(6, np.inf)
    for node in range(n):
        chosen = np.zeros((6, world.source.nodes), np.bool_)
        chosen[:, node] = problem.allowed[:, node]
        for value in np.linspace(-5, 5, 21):
            values = np.where(chosen, value, 0.0)
            found = simulate_target(problem.scm, problem.target, chosen, values, noise).mean(axis=1)
            lowest = np.where(chosen.any(axis=1), np.minimum(lowest, found), lowest)
    scale = np.maximum(problem.base - lowest, problem.spread)
    assert (np.abs(problem.optimum - lowest) / scale).max() < 0.06
    assert problem.allowed[every, problem.best_node].all()


def test_a_step_earns_its_expectation_or_its_rows():
    _, step, expected = play(always(0), copies=16)
    state = step.state
    scores = np.clip(state.problem.normalise(state.expected), -2, 2)
    np.testing.assert_allclose(expected, scores.T, rtol=1e-5, atol=1e-6)
    mean = state.problem.normalise(state.expected).mean(axis=1)
    np.testing.assert_allclose(step.info["episode_mean"], mean)
    _, step, observed = play(always(0), copies=16, reward="observed")
    drawn = np.clip(step.state.problem.normalise(step.state.seen.outcomes), -2, 2)
    np.testing.assert_allclose(observed, drawn.T, rtol=1e-5, atol=1e-6)
    assert not np.allclose(observed, expected)


def test_the_rules_rank_as_they_were_measured():
    def of(agent, **fields):
        return score(agent, copies=128, **fields)

    hard = {"smallest": 6, "largest": 6}
    found = {name: of(agent, **hard) for name, agent in baselines.AGENTS.items()}
    expected = {
        "random": 0.0,
        "obs_ols": 0.45,
        "explore_then_commit": 0.40,
        "mirrored_half_probe": 0.65,
        "oracle": 1.0,
    }
    assert found == pytest.approx(expected, abs=0.12)
    linear = {"scm": "linear_erdos_renyi", "smallest": 5, "largest": 5}
    assert of(baselines.obs_ols, **linear) > 0.88
    assert of(baselines.explore_then_commit, metric="last3", **linear) > 0.97


def test_one_model_can_be_the_problem_of_every_episode():
    world, step, _ = play(baselines.oracle, copies=3, scm="fixed-chain-3")
    assert world.choice_names == ("X0", "X1", "X2")
    assert step.observation["mask"].tolist() == [[1, 1, 0]] * 3
    np.testing.assert_allclose(step.info["target_mean"], -11.25, rtol=1e-5)
    np.testing.assert_allclose(step.info["incumbent"], -11.25, rtol=1e-5)
    with pytest.raises(InputError, match="names none of its nodes"):
        CausalOptimisation(Params(scm="ace5"))


def test_published_models_have_the_optima_of_the_literature():
    _, step, _ = play(baselines.oracle, copies=2, scm="toy_graph", precision=1024, rows=100)
    np.testing.assert_allclose(step.info["incumbent"], -2.1718, rtol=0.02)


def test_models_that_are_no_sums_are_solved_too():
    """A grid in one pass and the plain way agree."""
    scm = load_model("fixed-chain-3").scm
    target, allowed, noise = np.array([2]), np.array([[True, True, False]]), noise_rows(64, 3)
    quick, plain = (solve_problem(one, target, allowed, noise, 21, 8) for one in (scm, Plain(scm)))
    assert quick.optimum == pytest.approx(plain.optimum, rel=1e-5)
    assert quick.best_node == plain.best_node == [0]


class Plain(Scm):
    """A model of another class than the families have."""

    def __init__(self, scm):
        self.scm = scm
        for name in ("order", "noise", "low", "high", "real"):
            setattr(self, name, getattr(scm, name))

    @property
    def parents(self):
        return self.scm.parents

    def mechanism(self, node, x):
        return self.scm.mechanism(node, x)


# What an intervention does.


def test_at_once_limits_how_many_choices_stay_in_force():
    def in_turn(world, state, keys):
        node = np.argsort(~state.seen.allowed, axis=1, kind="stable")[:, :2]
        now = node[np.arange(len(keys)), state.seen.step % 2]
        return {"choice": now, "value": np.where(state.seen.step % 2, 0.5, -0.5)}

    _, one, _ = play(in_turn, copies=4, interventions=3)
    assert one.state.seen.is_set.sum(axis=2).tolist() == [[1, 1, 1]] * 4
    _, two, _ = play(in_turn, copies=4, interventions=3, at_once=2)
    seen = two.state.seen
    assert seen.is_set.sum(axis=2).tolist() == [[1, 2, 2]] * 4
    values = seen.means[seen.is_set].reshape(4, 5)
    np.testing.assert_allclose(np.sort(values[:, 1:3]), [[-2.5, 2.5]] * 4)


def test_choosing_a_node_that_may_not_be_set_only_watches():
    world = CausalOptimisation(Params())
    state, _ = world.reset(counter_rng.make_keys(0, 8))
    action = {"choice": state.problem.target, "value": np.ones(8)}
    after = world.step(state, action).state
    assert not after.seen.is_set.any()
    np.testing.assert_allclose(after.expected[:, 0], state.problem.base, atol=1e-6)


def test_every_row_is_accounted_for():
    _, step, _ = play(always(0), copies=2, interventions=7, rows=3, observations=11)
    assert step.info["rows_executed"].tolist() == [21, 21]
    assert step.info["rows_observational"].tolist() == [11, 11]
    assert step.info["rows_lookahead"].tolist() == [0, 0]
    assert step.info["rows"].tolist() == [32, 32]
    assert step.terminated.all() and not step.truncated.any()


def test_a_step_changes_nothing_but_what_it_returns():
    world = CausalOptimisation(Params(at_once=2))
    state, _ = world.reset(counter_rng.make_keys(0, 4))
    before = dataclasses.asdict(state)
    action = {"choice": np.arange(4), "value": np.linspace(-1, 1, 4)}
    first, second = world.step(state, action), world.step(state, action)
    assert str(before) == str(dataclasses.asdict(state))
    np.testing.assert_array_equal(first.reward, second.reward)
    np.testing.assert_array_equal(first.observation["nodes"], second.observation["nodes"])


def test_an_episode_is_the_same_alone_and_beside_others():
    _, alone, _ = play(baselines.random_choice, copies=1, seed=3)
    world = CausalOptimisation(Params())
    state, _ = world.reset(counter_rng.make_keys(0, 8))
    keys = np.tile(counter_rng.make_keys(77, 1), 8)
    for t in range(20):
        step = world.step(state, baselines.random_choice(world, state, counter_rng.fold(keys, t)))
        state = step.state
    np.testing.assert_allclose(step.observation["nodes"][3], alone.observation["nodes"][0])
    assert step.info["episode_mean"][3] == alone.info["episode_mean"][0]


def test_equal_seeds_begin_equal_episodes():
    env = make_vector("envs.causal.optimisation.world:CausalOptimisation", 4)
    observation: Any
    observation, _ = env.reset(seed=[5, 5, 6, 5])
    nodes = observation["nodes"]
    np.testing.assert_array_equal(nodes[0], nodes[1])
    np.testing.assert_array_equal(nodes[0], nodes[3])
    assert (nodes[0] != nodes[2]).any()


# What is seen.


def test_renumbering_the_nodes_renumbers_the_observation():
    _, step, _ = play(baselines.random_choice, copies=4)
    seen = step.state.seen
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
    node = state.seen.allowed.argmax(axis=1)
    step = world.step(state, {"choice": node, "value": np.ones(2)})
    shown = step.observation["rows"]
    assert (shown[:, :4] == 0).all()
    was_set = shown[:, :, :, 2]
    assert was_set.sum() == 2 and (was_set[np.arange(2), -1, node] == 1).all()
    existing = shown[:, 4:][step.state.seen.allowed[:, None].repeat(7, 1)]
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


@pytest.mark.parametrize(
    "fields",
    [{}, {"scm": "linear_chain", "observation": "rows", "graph": True}, {"curriculum": True}],
    ids=["hard", "rows", "curriculum"],
)
def test_environments_pass_every_check(fields):
    def make():
        return gymnasium.make("envs:CausalOptimisation-v0", **fields)

    assert check_conformance(make, episodes=5) == []


def test_observations_are_of_about_unit_scale():
    _, step, _ = play(baselines.random_choice)
    nodes = step.observation["nodes"]
    assert np.abs(nodes).max() < 8
    assert 0.1 < nodes[step.state.seen.allowed].std() < 1.5


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
    lowest = state.seen.outcomes.argmin(axis=1)
    np.testing.assert_allclose(info["incumbent"], state.expected[np.arange(8), lowest])


def test_range_utilisation_is_the_span_of_often_set_nodes():
    def three_values(world, state, keys):
        value = np.array([-0.5, 0.0, 0.5])[state.seen.step % 3]
        return {"choice": state.seen.allowed.argmax(axis=1), "value": value}

    assert score(three_values, "range_utilisation", copies=4) == pytest.approx(0.5)

    def one_end(world, state, keys):
        return {"choice": state.seen.allowed.argmax(axis=1), "value": np.ones(len(keys))}

    assert score(one_end, "range_utilisation", copies=4) == 0.5


def test_parent_accuracy_counts_the_targets_own_parents():
    def a_parent(world, state, keys):
        parents = state.problem.parents[np.arange(len(keys)), state.problem.target]
        return {"choice": parents.argmax(axis=1), "value": np.zeros(len(keys))}

    assert score(a_parent, "parent_accuracy", copies=8) == 1
    assert score(baselines.random_choice, "parent_accuracy", scm="linear_chain") < 0.5


# The curriculum.


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


def test_unknown_families_and_odd_precisions_are_refused():
    with pytest.raises(InputError, match="no model or family 'hrd'"):
        CausalOptimisation(Params(scm="hrd"))
    with pytest.raises(InputError, match="must be even, but it is 33"):
        Params(precision=33)
    with pytest.raises(InputError, match="node from 0 to 7, but it is 8"):
        world = CausalOptimisation(Params())
        world.step(
            world.reset(counter_rng.make_keys(0, 1))[0],
            {"choice": np.array([8]), "value": np.zeros(1)},
        )


def test_lessons_are_drawn_in_equal_parts():
    lessons = Lessons(tuple(CURRICULUM), 8)
    problem = lessons.draw(counter_rng.make_keys(0, 400), 2)
    confounded = (problem.scm.noise[:, -1] > 0).mean()
    assert 0.4 < confounded < 0.6
