# pyright: basic
"""EdgeSelection-v0: pure, the same whatever the batch, and measured against real competitors."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from scipy import sparse

pytest.importorskip("pyamg")

from envs import counter_rng
from envs.edges import baselines, instances, solvers
from envs.edges.params import Params
from envs.edges.world import EdgeSelection
from envs.pytree import take
from envs.validation import InputError

KINDS = [
    {"objective": objective, "action": action, "observation": observation}
    for objective in ("multigrid", "fsai", "sparsifier")
    for action, observation in (("latent", "summary"), ("edges", "graph"))
]


@pytest.mark.parametrize("fields", KINDS, ids=lambda f: "-".join(f.values()))
def test_every_kind_passes_gymnasiums_own_check(fields):
    env = gymnasium.make("envs:EdgeSelection-v0", size=8, **fields).unwrapped
    check_env(env, skip_render_check=True)


@pytest.mark.parametrize("fields", KINDS, ids=lambda f: "-".join(f.values()))
def test_a_copy_lives_the_same_episode_in_any_batch(fields):
    world, other = (EdgeSelection(Params(size=6, steps=3, **fields)) for _ in range(2))
    batch, _ = world.reset(counter_rng.make_keys(3, 3))
    alone, _ = other.reset(counter_rng.make_keys(5, 1))
    for t in range(world.objective.steps):
        action = baselines.random_choice(world, batch, counter_rng.fold(batch.keys, t))
        together = world.step(batch, action)
        single = other.step(alone, action[2:])
        assert together.reward[2] == single.reward[0]
        np.testing.assert_equal(take(together.observation, 2), take(single.observation, 0))
        assert together.info["work_ratio"][2] == single.info["work_ratio"][0]
        batch, alone = together.state, single.state
    assert together.terminated.all() and not together.truncated.any()


def test_a_step_changes_nothing():
    world = EdgeSelection(Params(objective="sparsifier", size=6))
    state, _ = world.reset(counter_rng.make_keys(0, 2))
    action = np.zeros((2, 5), np.float32)
    one = world.step(state, action)
    two = world.step(state, action)
    np.testing.assert_array_equal(one.reward, two.reward)
    assert state.step.tolist() == [0, 0]


def test_episodes_can_be_played_on_few_matrices():
    world = EdgeSelection(Params(size=6, instances=2))
    assert len({id(world.get_instance(counter_rng.make_keys(seed, 1))) for seed in range(20)}) == 2


@pytest.mark.parametrize("objective", ["multigrid", "fsai", "sparsifier"])
def test_simple_agents_rank_as_they_should(objective):
    world = EdgeSelection(Params(objective=objective, size=12, action="edges", steps=4))
    keys = counter_rng.make_keys(0, 3)

    def earned(name):
        state, _ = world.reset(keys)
        total = np.zeros(3)
        for t in range(world.objective.steps):
            step = world.step(state, world.baselines[name](world, state, counter_rng.fold(keys, t)))
            state, total = step.state, total + step.reward
        return total.mean()

    best = {"multigrid": "by_evolution", "fsai": "by_size", "sparsifier": "by_stretch"}[objective]
    assert earned("random") < earned(best)


def test_the_oracle_is_at_least_as_good_as_its_rules():
    world = EdgeSelection(Params(size=10))
    state, _ = world.reset(counter_rng.make_keys(0, 2))
    oracle, rule = (
        world.step(state, world.baselines[name](world, state, state.keys)).reward
        for name in ("oracle", "by_evolution")
    )
    assert (oracle >= rule - 0.05).all()


def test_competitors_are_measured_on_the_same_matrices():
    pairs = [
        (instances.anisotropic(24, t, 0.01), counter_rng.make_keys(i, 1))
        for i, t in enumerate((0, 0.5))
    ]
    found = solvers.compare_solvers(pairs)
    assert found["sa_default"]["work_ratio"] == 1
    assert found["root_node_evolution"]["work_ratio"] < 0.9
    assert found["sa_evolution"]["iterations"] < found["sa_default"]["iterations"]
    assert set(found) == set(solvers.SOLVERS)


def test_doing_what_a_competitor_does_is_worth_what_it_is_worth():
    world = EdgeSelection(Params(size=16))
    key = counter_rng.make_keys(4, 1)
    state, _ = world.reset(key)
    step = world.step(state, baselines.make_rule_action(0, baselines.QUARTER, 5)[None])
    instance = world.get_instance(key)
    alone = solvers.evaluate_solver("quarter", instance.graph.matrix, instance.key)
    assert step.info["work_per_digit"][0] == pytest.approx(alone.work, rel=0.15)
    usual = solvers.evaluate_solver("sa_default", instance.graph.matrix, instance.key)
    assert step.info["reference_work"][0] == pytest.approx(usual.work)


def test_episodes_are_summarised_by_the_geometric_mean():
    world = EdgeSelection(Params(size=6))
    plain = dict.fromkeys(world.episode_metrics, np.ones(2))
    found = world.summarise(plain | {"work_ratio": np.array([0.5, 2.0])})
    assert found["work_ratio"] == pytest.approx(1.0)


def test_a_matrix_of_ones_own_is_played_on(tmp_path):
    matrix = instances.draw_matrix("variable", 7, counter_rng.make_keys(0, 1))
    sparse.save_npz(tmp_path / "own.npz", matrix)
    env = gymnasium.make(
        "envs:EdgeSelection-v0",
        matrix=str(tmp_path / "own.npz"),
        observation="graph",
        action="edges",
    ).unwrapped
    observation, _ = env.reset(seed=0)
    assert observation["node_mask"].shape == (49,) and observation["edge_mask"].all()
    assert env.action_space.shape == (49, 3)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"objective": "sparsifier", "family": "mesh"}, "take one of weighted_grid, random_graph"),
        ({"family": "mesh", "matrix": "a.mtx"}, "exclude each other"),
        ({"matrix": "/nowhere/a.mtx"}, "There is no matrix file"),
        ({"size": 3}, r"size must be in \[4, 512\], but it is 3"),
        ({"objective": "speed"}, "one of 'multigrid', 'fsai', 'sparsifier'"),
    ],
)
def test_wrong_fields_are_refused_in_a_sentence(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        gymnasium.make("envs:EdgeSelection-v0", **fields)


def test_impossible_actions_are_refused_in_a_sentence():
    env = gymnasium.make("envs:EdgeSelection-v0", size=6).unwrapped
    env.reset(seed=0)
    with pytest.raises(InputError, match="has the shape"):
        env.step(np.zeros(4, np.float32))
    with pytest.raises(InputError, match="must be finite"):
        env.step(np.full(5, np.nan, np.float32))


@pytest.mark.parametrize(
    ("objective", "names"),
    [
        ("multigrid", set(solvers.SOLVERS)),
        ("fsai", {"reference", "none", "optimum"}),
        ("sparsifier", {"reference"}),
    ],
)
def test_competitors_are_described_like_policies(objective, names):
    world = EdgeSelection(Params(objective=objective, size=8))
    found = world.evaluate_competitors(counter_rng.make_keys(0, 2))
    assert set(found) == names
    for metrics in found.values():
        assert set(metrics) - {"setup_seconds"} == set(world.episode_metrics)
        assert np.isfinite(world.summarise(metrics)["work_ratio"])
    usual = found["sa_default" if objective == "multigrid" else "reference"]
    assert world.summarise(usual)["work_ratio"] == pytest.approx(1)
