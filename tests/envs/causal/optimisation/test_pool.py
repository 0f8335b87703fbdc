# pyright: basic
"""A pool of users' own models beside drawn ones: who is drawn when, and that each stays itself."""

from pathlib import Path

import numpy as np
import pytest
from paths import DATA

from envs.causal.models.named import load_model
from envs.causal.optimisation import baselines as rules
from envs.causal.optimisation.lessons import CURRICULUM
from envs.causal.optimisation.params import Params
from envs.causal.optimisation.world import CausalOptimisation
from envs.contract import counter_rng
from rungwise.validation import InputError
from tune_jobs.jobs.job import Job

MODELS = DATA / "causal_models"
LINEAR = """
target: Y
domain: [-2, 2]
nodes:
  U: {hidden: true, noise: 1}
  X: {noise: 1}
  Y: {parents: {X: 1.5, U: 1}, noise: 0.1}
"""
CURVED = """
target: Slow
domain: [-5, 5]
nodes:
  Rain: {noise: {uniform: [0, 2]}}
  Wet: {parents: {Rain: -1.5}, kind: tanh, noise: 0.1}
  Slow: {expr: cos(Wet) - 0.2*Rain**2 - 0.1*Rain, noise: 0.1}
"""
FAMILY = {"scm": "hard", "smallest": 3, "largest": 4}


@pytest.fixture
def pool(tmp_path):
    """A folder with two models, one of them with a hidden node, and a note that is no model."""
    (tmp_path / "a.yaml").write_text(LINEAR)
    (tmp_path / "b.yaml").write_text(CURVED)
    (tmp_path / "notes.txt").write_text("where these come from")
    return str(tmp_path)


def lived(world, agent, copies=64):
    """The states and infos of one episode of an agent."""
    keys = counter_rng.make_keys(0, copies)
    state, _ = world.reset(keys)
    states, infos = [state], []
    for t in range(world.params.interventions):
        step = world.step(state, agent(world, state, counter_rng.fold(keys, t)))
        state = step.state
        states.append(state)
        infos.append(step.info)
    return states, infos


def test_each_model_of_the_pool_comes_as_often_as_the_share_says(pool):
    world = CausalOptimisation(Params(**FAMILY, pool=pool, pool_fraction=0.4))
    state, _ = world.reset(counter_rng.make_keys(0, 2000))
    counts = np.bincount(state.problem.member, minlength=3)
    assert len(counts) == 3
    for count, share in zip(counts, (0.6, 0.2, 0.2), strict=True):
        assert abs(count - 2000 * share) < 4 * np.sqrt(2000 * share * (1 - share))


def test_all_episodes_are_of_the_pool_if_the_share_is_1(pool):
    world = CausalOptimisation(Params(**FAMILY, pool=pool, pool_fraction=1.0))
    state, _ = world.reset(counter_rng.make_keys(0, 64))
    assert set(state.problem.member.tolist()) == {1, 2}


def test_a_model_of_the_pool_pays_what_it_pays_alone(pool):
    world = CausalOptimisation(Params(**FAMILY, pool=pool, precision=512))
    (first, *_, last), infos = lived(world, rules.oracle)
    for number, file in ((1, "a.yaml"), (2, "b.yaml")):
        alone = CausalOptimisation(Params(scm=f"{pool}/{file}", precision=512))
        own, figures = lived(alone, rules.oracle, 2)
        mine, n = first.problem.member == number, len(alone.choice_names)
        assert mine.any()
        problem, expected = last.problem, own[0].problem
        # The same truth but for the noise rows that expectations are averaged over.
        for name in ("base", "optimum", "best_position"):
            np.testing.assert_allclose(
                getattr(problem, name)[mine], getattr(expected, name)[0], atol=0.03
            )
        np.testing.assert_array_equal(problem.best_node[mine], expected.best_node[0])
        np.testing.assert_array_equal(
            problem.parents[mine][:, :n, :n], expected.parents[[0] * mine.sum()]
        )
        assert not problem.real[mine][:, n:].any() and not problem.allowed[mine][:, n:].any()
        np.testing.assert_allclose(infos[-1]["episode_mean"][mine], 1, atol=1e-5)
        np.testing.assert_allclose(figures[-1]["episode_mean"], 1, atol=1e-5)


def test_rows_of_a_pooled_model_follow_its_own_mechanisms(pool):
    world = CausalOptimisation(Params(**FAMILY, pool=pool, observations=400))
    state, _ = world.reset(counter_rng.make_keys(0, 40))
    rows = state.experiments.observed[state.problem.member == 2]
    rain, wet, slow, filler = np.moveaxis(rows, 2, 0)
    assert (filler == 0).all() and rain.min() >= 0 and rain.max() <= 2
    np.testing.assert_allclose((wet + 1.5 * np.tanh(rain)).std(), 0.1, atol=0.01)
    np.testing.assert_allclose(
        (slow - np.cos(wet) + 0.2 * rain**2 + 0.1 * rain).std(), 0.1, atol=0.01
    )
    # Of the other one the slope is the parent's, and a hidden node adds to the spread.
    x, y, *_ = np.moveaxis(state.experiments.observed[state.problem.member == 1], 2, 0)
    np.testing.assert_allclose((y - 1.5 * x).std(), np.hypot(1, 0.1), atol=0.05)


def test_a_pool_leaves_the_drawn_models_as_they_are(pool):
    keys = counter_rng.make_keys(7, 64)
    alone, _ = CausalOptimisation(Params(**FAMILY)).reset(keys)
    world = CausalOptimisation(Params(**FAMILY, pool=pool))
    beside, _ = world.reset(keys)
    drawn = beside.problem.member == 0
    assert drawn.any() and not drawn.all()
    for name in ("base", "optimum", "target", "best_node", "parents"):
        before, now = getattr(alone.problem, name), getattr(beside.problem, name)
        np.testing.assert_array_equal(before[drawn], now[drawn])


def test_a_copy_lives_the_same_episode_whatever_stands_beside_it(pool):
    world = CausalOptimisation(Params(**FAMILY, pool=pool))
    keys = counter_rng.make_keys(0, 24)
    many, _ = world.reset(keys)
    for place in range(0, 24, 5):
        one, _ = world.reset(keys[place : place + 1])
        assert one.problem.member[0] == many.problem.member[place]
        np.testing.assert_array_equal(one.experiments.observed[0], many.experiments.observed[place])


def test_a_curriculum_draws_from_the_pool_in_every_stage(pool):
    world = CausalOptimisation(Params(curriculum=True, pool=pool, pool_fraction=0.25))
    for stage, lesson in enumerate(CURRICULUM):
        world = world.at_stage(stage)
        state, _ = world.reset(counter_rng.make_keys(0, 64))
        assert set(state.problem.member.tolist()) == {0, 1, 2}
        assert world.stages[stage].name == f"{lesson.name}, and 25% of the pool"


def test_the_pool_has_a_separate_figure_and_node_names(pool):
    world = CausalOptimisation(Params(**FAMILY, pool=pool))
    states, infos = lived(world, rules.random_choice)
    episodes = {name: infos[-1][name] for name in world.episode_metrics}
    mine = states[0].problem.member > 0
    assert episodes["from_pool"].tolist() == mine.astype(float).tolist()
    expected = episodes["episode_mean"][mine].mean()
    assert world.summarise(episodes)["pool_mean"] == pytest.approx(expected)
    without = {name: episodes[name][~mine] for name in episodes}
    assert "pool_mean" not in world.summarise(without)
    number = int(np.flatnonzero(states[0].problem.member == 2)[0])
    single, _ = world.reset(counter_rng.make_keys(number, 1))
    assert world.source.get_node_names(single.problem) == ("Rain", "Wet", "Slow", "X4")


def test_a_pool_may_be_one_file_with_a_target_argument(tmp_path):
    pytest.importorskip("pgmpy")
    sprinkler = MODELS / "sprinkler.bif"
    world = CausalOptimisation(
        Params(**FAMILY, pool=str(sprinkler), target="grass", pool_fraction=1.0)
    )
    states, infos = lived(world, rules.oracle, 4)
    assert states[0].problem.allowed.tolist() == [[True, True, False, False]] * 4
    np.testing.assert_allclose(infos[-1]["episode_mean"], 1, atol=1e-5)
    assert load_model(str(sprinkler)).target == ""


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, r"The folder .* holds no model: put files there that end in \.yaml"),
        ({"a.yaml": "nodes: {X: {}}"}, r"a\.yaml cannot be used\. The node X has no domain"),
        (
            {"a.yaml": "domain: [0, 1]\nnodes: {X: {}, Y: {parents: [X]}}"},
            r"a\.yaml cannot be used\. CausalOptimisation drives a target down, but .* target",
        ),
        (
            {"a.yaml": LINEAR.replace("X: 1.5", "V: 1.5"), "b.yml": "3", "c.yaml": CURVED},
            r"(?s)a\.yaml cannot be used\. There is no node 'V'.*\n.*b\.yml cannot .* It must have",
        ),
        (
            {"a.yaml": "target: Y\ndomain: [0, 1]\nnodes: {X: {}, Y: {}}"},
            r"a\.yaml cannot be used\. Nothing that may be set has an effect on the target Y",
        ),
        (
            {
                "a.yaml": "target: Y\nnodes: {X: {noise: 0, domain: [0, 5]}, "
                "Y: {noise: 0, parents: {X: 1}}}"
            },
            r"a\.yaml cannot be used\. Nothing lowers the target Y, and it never varies",
        ),
    ],
    ids=["empty", "domain", "target", "two", "no effect", "no unit"],
)
def test_every_unusable_file_is_named_before_work_starts(files, sentence, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence) as refusal:
        CausalOptimisation(Params(**FAMILY, pool=str(tmp_path)))
    assert "c.yaml" not in str(refusal.value)


def test_a_missing_pool_is_refused():
    with pytest.raises(InputError, match="no file or folder nowhere: check"):
        CausalOptimisation(Params(**FAMILY, pool="nowhere/"))


def test_a_pool_path_is_absolute_and_reset_for_one_model(pool, monkeypatch):
    monkeypatch.chdir(Path(pool).parent)
    relative = f"{Path(pool).name}/"
    job = Job(env="CausalOptimisation-v0", env_kwargs={"pool": relative})
    assert job.env_kwargs == {"pool": pool}
    changed = CausalOptimisation.make_case_kwargs("toy_graph", {"pool": pool})
    CausalOptimisation(Params(**{**FAMILY, "pool": pool, **changed}))
