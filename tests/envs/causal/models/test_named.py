# pyright: basic
"""Models by name: their equations, means and optima are those of the literature."""

import numpy as np
import pytest
from causal_files import target_mean

from envs.causal.models import named
from envs.contract import counter_rng
from rungwise.validation import InputError

# For complete_graph from four million rows: the authors' own, -1.266, .025 and 1.542, are from few.
PUBLISHED = {  # observed mean of the target, and the means under the best single settings
    "toy_graph": (-0.722, {"Z": (-3.2, -2.1718), "X": (-1.1, -1.462)}),
    "complete_graph": (2.31, {"B": (-5, -1.229), "D": (3.3, 0.070), "E": (-1.16, 1.610)}),
    "psa": (5.806, {"aspirin": (0, 5.617), "statin": (1, 5.344)}),
    "epidemiology": (0.65, {"T": (5.5, -1.44)}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_the_published_means(name):
    observed, settings = PUBLISHED[name]
    model = named.load_model(name)
    assert target_mean(model, {}) == pytest.approx(observed, abs=0.05)
    for node, (value, mean) in settings.items():
        assert target_mean(model, {node: value}) == pytest.approx(mean, abs=0.05), node


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_single_setting_is_better_than_the_optimum(name):
    model, optimum = named.load_model(name), named.find_optimum(name)
    assert optimum is not None
    assert target_mean(model, optimum.setting) == pytest.approx(optimum.value, abs=0.02)
    for node in np.flatnonzero(model.settable):
        grid = np.linspace(model.scm.low[0, node], model.scm.high[0, node], 21)
        best = min(target_mean(model, {model.names[node]: v}, 4000) for v in grid)
        assert best > optimum.value - 0.08


def test_what_may_be_set_is_what_the_literature_sets():
    for name, expected in [
        ("toy_graph", {"X", "Z"}),
        ("complete_graph", {"B", "D", "E"}),
        ("psa", {"aspirin", "statin"}),
        ("epidemiology", {"T", "R"}),
    ]:
        model = named.load_model(name)
        may = [node for node, may in zip(model.names, model.settable, strict=True) if may]
        assert set(may) == expected
    graph = named.load_model("complete_graph")
    assert graph.hidden == 2 and graph.names[-2:] == ("U1", "U2")


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("fixed-chain-3", {"X0": -5}, -11.25),
        ("fixed-fork", {"X": -5}, -10),
        ("fixed-collider", {"X": -5}, -6),
        ("fixed-diamond", {"X": -5}, -10),
        ("fixed-butterfly", {"B": -5}, -10.38),
        ("fixed-mixed", {"A": -5}, -10),
    ],
)
def test_the_fixed_suite_has_the_optima_of_its_coefficients(name, setting, value):
    optimum = named.find_optimum(name)
    assert optimum is not None
    assert optimum.setting == setting and optimum.value == pytest.approx(value)
    assert target_mean(named.load_model(name), setting) == pytest.approx(value, abs=0.03)


def test_ace15_follows_the_equations_of_the_post_mortem():
    model = named.load_model("ace15")
    assert len(model.names) == 14
    noise = counter_rng.normal(counter_rng.make_keys(0, 1), (50, 14)).astype(float)
    x = model.scm.sample(noise, np.zeros((1, 14), bool), np.zeros((1, 14)))[0].T
    R1, R2, R3, L1, L2, L3, N1, N2, N3, C1, C2, F1, F2, F3 = x
    e = noise[0].T
    np.testing.assert_allclose(R2, 1 + 1.5 * e[1])
    np.testing.assert_allclose(R3, -0.5 + 0.8 * e[2])
    np.testing.assert_allclose(L1, 1.5 * R1 - 0.8 * R2 + 2 + 0.2 * e[3])
    np.testing.assert_allclose(N1, 0.5 * L1**2 - L2 + np.sin(L1) + 0.2 * e[6])
    np.testing.assert_allclose(N3, 0.2 * L3**2 + 0.2 * e[8])
    np.testing.assert_allclose(C1, N1 * N2 + 0.5 * N1 - 0.3 * N2 + 0.2 * e[9])
    np.testing.assert_allclose(C2, np.tanh(N2 + N3) + 0.5 * N3 + 0.2 * e[10])
    np.testing.assert_allclose(F1, 0.8 * C1 + 0.2 * e[11])
    np.testing.assert_allclose(F2, 1.2 * C2 + 0.2 * e[12])
    np.testing.assert_allclose(F3, 0.4 * C1 - 0.6 * C2 + np.sin(C1 - C2) + 0.2 * e[13])


def test_hierarchical_models_have_five_layers():
    parents = named.load_model("hierarchical-30").scm.parents[0]
    layers = np.split(np.arange(30), [5, 10, 20, 25])
    expected = [{0}, {1, 2}, {1, 2}, {2, 3}, {1}]
    for above, layer, counts in zip([[], *layers], layers, expected, strict=False):
        assert set(parents[layer].sum(axis=1)) == counts
        assert not np.delete(parents[layer], above, axis=1).any()
    again = named.load_model("hierarchical-30").scm.parents[0]
    np.testing.assert_array_equal(again, parents)
    assert len(named.load_model("hierarchical-12").names) == 12


def test_ace5_is_known_by_its_name():
    assert named.load_model("ace5").names == ("X1", "X2", "X3", "X4", "X5")
    assert named.find_optimum("ace5") is None


def test_unknown_models_are_refused_with_the_nearest_name():
    with pytest.raises(InputError, match=r"no model or family 'ace_15' .* did you mean ace15"):
        named.load_model("ace_15")
    with pytest.raises(InputError, match=r"no file models/mine\.yaml: check the path"):
        named.load_model("models/mine.yaml")
    with pytest.raises(InputError, match=r"hierarchical-3 has too few nodes"):
        named.load_model("hierarchical-3")
    with pytest.raises(InputError, match="fixed-chain-1 has no edge"):
        named.load_model("fixed-chain-1")
