# pyright: basic
"""EdgeSelection-v0: pure, the same whatever the batch, and measured against real competitors."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from scipy import sparse

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges import baselines, comparison, instances, solvers
from envs.edges.params import Params
from envs.edges.world import EdgeSelection
from rungwise.validation import InputError

KINDS = [
    {"objective": objective, "action": action, "observation": observation}
    for objective in ("multigrid", "fsai", "sparsifier")
    for action, observation in (("latent", "summary"), ("edges", "graph"))
]


@pytest.mark.parametrize("fields", KINDS, ids=lambda f: "-".join(f.values()))
def test_every_kind_passes_gymnasiums_own_check(fields):
    env = gymnasium.make("envs:EdgeSelection-v0", size=8, **fields).unwrapped
    check_env(env, skip_render_check=True)


def test_episodes_can_be_played_on_few_matrices():
    world = EdgeSelection(Params(size=6, instances=2))
    assert len({id(world.get_instance(counter_rng.make_keys(seed, 1))) for seed in range(20)}) == 2


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


def test_drawn_matrices_are_compared_by_case():
    world, keys = EdgeSelection(Params(size=6)), counter_rng.make_keys(0, 3)
    episodes = {"sa_default": {"work_ratio": np.ones(3)}}
    details = world.describe_comparison(keys, episodes, ["sa_default"], np.zeros((3, 1)), "")
    expected = comparison.describe_cases(world.draw_case_parameters(keys), episodes)
    assert details == expected and details.rows


def test_advice_for_a_matrix_shows_the_action_of_its_only_episode(tmp_path):
    matrix = instances.draw_matrix("variable", 7, counter_rng.make_keys(0, 1))
    sparse.save_npz(tmp_path / "own.npz", matrix)
    world = EdgeSelection(Params(matrix=str(tmp_path / "own.npz")))
    size = len(world.objective.score_names)
    figures = {"work_per_digit": 2.0, "work_ratio": 0.5, "selected_fraction": 0.25}
    episode = {name: np.array([value]) for name, value in figures.items()}
    episodes = {"greedy": episode, "sa_default": episode | {"work_per_digit": np.array([4.0])}}
    action = world.action_space.sample()[None]
    details = world.describe_comparison(
        counter_rng.make_keys(0, 1), episodes, ["sa_default"], action, "checkpoint"
    )
    advice = details.answer["matrix"]
    assert advice["work_against_best"] == 0.5 and advice["saved"] == 0.5
    shares = [value for name, value in advice["weights"].items() if name != "threshold"]
    assert len(shares) == size and sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"matrix": "/nowhere/a.mtx"}, "There is no matrix file"),
        ({"size": 3}, r"size must be in \[4, 512\], but it is 3"),
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
