# pyright: basic
"""One model in both causal worlds: which target it has, and how policies of families see it."""

import numpy as np
import pytest
from paths import DATA

from envs.causal.learning import baselines
from envs.causal.learning.observation import FAMILY_FEATURES, FEATURES
from envs.causal.learning.params import Params as Learning
from envs.causal.learning.world import CausalLearning
from envs.causal.models import named
from envs.causal.optimisation import baselines as rules
from envs.causal.optimisation.params import Params
from envs.causal.optimisation.problem import simulate_target
from envs.causal.optimisation.world import CausalOptimisation
from envs.contract import counter_rng
from rungwise.validation import InputError

MODELS = DATA / "causal_models"
SPRINKLER = str(MODELS / "sprinkler.bif")
EXACT = 1e-6


def last(world, agent, copies=32):
    """The last step of one episode of an agent, and the observations before it."""
    keys = counter_rng.make_keys(0, copies)
    state, observation = world.reset(keys)
    seen = []
    while True:
        seen.append(observation)
        step = world.step(state, agent(world, state, counter_rng.fold(keys, len(seen))))
        state, observation = step.state, step.observation
        if step.terminated.all():
            return step, seen


# A target for a model that names none.


@pytest.mark.system
def test_a_network_without_a_target_takes_the_chosen_one():
    pytest.importorskip("pgmpy")
    world = CausalOptimisation(Params(scm=SPRINKLER, target="grass", precision=4096))
    step, _ = last(world, rules.oracle, 2)
    assert step.observation["mask"].tolist() == [[1, 1, 0]] * 2
    # Dry without rain and sprinkler: do(rain = 0) leaves the sprinkler, do(sprinkler = 0) the rain.
    model = named.load_model(SPRINKLER)
    noise = counter_rng.normal(counter_rng.make_keys(0, 1), (100_000, 3))[0]
    means = []
    for node in (0, 1):
        chosen = np.arange(3)[None] == node
        means.append(
            simulate_target(model.scm, np.array([2]), chosen, np.zeros((1, 3)), noise).mean()
        )
    np.testing.assert_allclose(step.info["target_mean"], min(means), atol=0.02)


def test_a_chosen_target_takes_the_place_of_the_models_own():
    world = CausalOptimisation(Params(scm="fixed-chain-3", target="X1"))
    step, _ = last(world, rules.oracle, 2)
    assert step.observation["mask"].tolist() == [[1, 0, 0]] * 2
    np.testing.assert_allclose(step.info["target_mean"], -7.5, rtol=1e-5)


@pytest.mark.system
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"scm": SPRINKLER}, r"none of its nodes \(rain, sprinkler, grass\) .* argument target"),
        ({"scm": SPRINKLER, "target": "gras"}, "no node 'gras' to be the target: .*mean grass"),
        ({"scm": "complete_graph", "target": "U1"}, "no node 'U1' to be the target"),
        ({"scm": "ace5", "target": "X4"}, "Nothing that may be set has an effect on the target X4"),
    ],
)
def test_a_target_that_cannot_be_lowered_is_refused(fields, sentence):
    pytest.importorskip("pgmpy")
    with pytest.raises(InputError, match=sentence):
        CausalOptimisation(Params(**fields))


# One model as a family shows its own.


@pytest.mark.system
@pytest.mark.parametrize("scm", ["ace5", "fixed-diamond", SPRINKLER])
def test_a_model_in_family_form_is_the_same_task(scm):
    pytest.importorskip("pgmpy")
    alone = CausalLearning(Learning(scm=scm))
    like = CausalLearning(Learning(scm=scm, like_family=True, interactions=True))
    own, seen = last(alone, baselines.round_robin)
    step, also = last(like, baselines.round_robin)
    assert [len(x["nodes"][0, 0]) for x in (seen[0], also[0])] == [FEATURES, FAMILY_FEATURES]
    for a, b in zip(seen, also, strict=True):
        unsure = FEATURES - 3  # measured at other points: below
        for part in (slice(0, unsure), slice(unsure + 1, FEATURES)):
            np.testing.assert_array_equal(a["nodes"][..., part], b["nodes"][..., part])
        np.testing.assert_array_equal(a["parents"], b["parents"])
        # In units of a decade of the posterior's standard deviation.
        gap = a["nodes"][..., unsure] - b["nodes"][..., unsure]
        assert np.abs(gap).max() < 0.25
    # Errors are averaged over other points of the same box.
    ratio = step.info["excess_risk"] / own.info["excess_risk"]
    assert 0.9 < np.median(ratio) < 1.1 and ((ratio > 0.5) & (ratio < 2)).all()


def test_family_form_shows_a_model_as_a_drawn_one():
    family = CausalLearning(Learning(scm="linear_chain", smallest=3, largest=3))
    state, observation = family.reset(counter_rng.make_keys(5, 1))
    like = CausalLearning(Learning(scm="fixed-chain-3", like_family=True))
    _, other = like.reset(counter_rng.make_keys(5, 1))
    order = family.get_problem(state).scm.order[0]  # of a chain: from its root on
    np.testing.assert_allclose(observation["nodes"][0, order], other["nodes"][0], atol=EXACT)


def own(tmp_path, nodes):
    (tmp_path / "own.yaml").write_text(f"domain: [-2, 2]\nnodes: {nodes}\n")
    return str(tmp_path / "own.yaml")


def test_a_mechanism_without_noise_is_learnt_like_any_other(tmp_path):
    path = own(tmp_path, "{X: {}, Y: {expr: log(X + 5), noise: 0}}")
    world = CausalLearning(Learning(scm=path, like_family=True))
    with np.errstate(divide="raise", invalid="raise"):
        step, _ = last(world, baselines.random_choice, 4)
    assert (step.info["excess_risk"] < 1).all()


UNIT = "{X: {noise: {normal: [1, 2]}}, Y: {expr: sin(X) + 0.3*X, noise: 0.1}, Z: {expr: X*Y}}"
OTHER = """{X: {noise: {normal: [1958, 3]}, domain: [1949, 1964]},
  Y: {expr: sin((X - 1956.5)/1.5) + 0.3*(X - 1956.5)/1.5, noise: 0.1, domain: [-5, 5]},
  Z: {expr: (X - 1956.5)/1.5*Y, domain: [-5, 5]}}"""
"""The same model with X in years: 1956.5 + 1.5 X."""


@pytest.mark.parametrize("like_family", [False, True])
def test_a_model_in_other_units_is_judged_and_learnt_as_in_these(like_family, tmp_path):
    (tmp_path / "unit.yaml").write_text(f"domain: [-5, 5]\nnodes: {UNIT}\n")
    (tmp_path / "years.yaml").write_text(f"nodes: {OTHER}\n")
    shown = {"like_family": like_family, "interactions": like_family}
    worlds = [
        CausalLearning(Learning(scm=str(tmp_path / name), **shown))
        for name in ("unit.yaml", "years.yaml")
    ]
    (here, seen), (there, also) = (last(world, baselines.round_robin) for world in worlds)
    np.testing.assert_allclose(here.info["excess_risk"], there.info["excess_risk"], rtol=0.1)
    np.testing.assert_allclose(seen[-1]["nodes"], also[-1]["nodes"], atol=0.05)
    assert np.median(there.info["excess_risk"]) < 0.5 * there.info["excess_at_start"][0]
