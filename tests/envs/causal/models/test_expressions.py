# pyright: basic
"""Mechanisms written as expressions: what they mean, and that nothing else is ever run."""

import numpy as np
import pytest

from envs.causal.models.expressions import NodeNoise, from_expressions, normal_cdf, parse_expression
from envs.contract import counter_rng
from rungwise.validation import InputError

NAMES = ("X", "Z", "Y")


def value(text, x=0.5, z=-2.0):
    formula, _ = parse_expression(text, "Y", NAMES)
    return float(np.broadcast_to(formula(np.array([[[x, z, 0.0]]])), (1, 1))[0, 0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2*X - Z/4 + 1", 2.5),
        ("-X**2", -0.25),
        ("+(X - 1)*3", -1.5),
        ("cos(Z) - exp(-Z/20)", np.cos(2) - np.exp(0.1)),
        ("log(X) + sqrt(X) + sin(X)*tan(X)", np.log(0.5) + 0.5**0.5 + np.sin(0.5) * np.tan(0.5)),
        ("sigmoid(Z) + tanh(Z)", 1 / (1 + np.exp(2)) - np.tanh(2)),
        ("abs(Z) + min(X, Z) + max(X, Z)", 0.5),
        ("clip(Z, -1, 1)", -1.0),
        ("where(X > 0, 10, 20) + (Z <= -3)", 10.0),
        ("1e3", 1000.0),
    ],
)
def test_an_expression_means_what_it_says(text, expected):
    assert value(text) == pytest.approx(expected)


def test_the_parents_are_the_names_that_are_read():
    assert parse_expression("exp(Z)*2", "Y", NAMES)[1] == {"Z"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "X.__class__",
        "[X for X in Z]",
        "(lambda: 1)()",
        "X if Z else 1",
        "X and Z",
        "X[0]",
        "'text'",
        "f'{X}'",
        "True",
        "(X := 2)",
        "1 < X < 2",
        "exp(X, out=Z)",
        "exp(*X)",
        "X @ Z",
        "X % 2",
        "not X",
        "1j",
    ],
)
def test_a_text_that_is_not_arithmetic_is_refused_with_its_node(text):
    with pytest.raises(InputError, match=r"expression of Y, .* use numbers, the parents' names"):
        parse_expression(text, "Y", NAMES)


@pytest.mark.parametrize("text", ["", "X +", "2 X", "x = 1", "(" * 9999, "-" * 99999 + "1", "\0"])
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(InputError, match="The expression of Y, "):
        parse_expression(text, "Y", NAMES)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"no node 'Xx' for Y's expression 'Xx \+ 1': .*X"):
        parse_expression("Xx + 1", "Y", NAMES)
    with pytest.raises(InputError, match=r"no node 'Y' for Y's"):
        parse_expression("Y + 1", "Y", NAMES)
    with pytest.raises(InputError, match=r"no function 'sine' .* did you mean sin"):
        parse_expression("sine(X)", "Y", NAMES)
    with pytest.raises(InputError, match="max takes 2 arguments, but it has 1 in Y's"):
        parse_expression("max(X)", "Y", NAMES)


def test_a_value_that_is_not_a_number_is_refused_at_once():
    with pytest.raises(InputError, match=r"value of Y is (nan|-inf) where X is -.*max"):
        from_expressions({"X": "", "Y": "log(X)"}, {"X": 1.0}, {})
    with pytest.raises(InputError, match="value of Y is inf where X is"):
        from_expressions({"X": "", "Y": "9**9**9 + X"}, {}, {"X": (0, 1)})


def test_a_cycle_is_refused():
    with pytest.raises(InputError, match=r"cycle, (X -> Y -> X|Y -> X -> Y)"):
        from_expressions({"X": "Y", "Y": "X"}, {}, {})


def test_noise_is_normal_uniform_or_none():
    model = from_expressions(
        {"A": "", "B": "", "C": "A + B"},
        {"A": NodeNoise(2.0, mean=1.0), "B": NodeNoise.uniform(55, 75)},
        {"A": (-1, 1)},
        target="C",
    )
    noise = counter_rng.normal(counter_rng.make_keys(0, 2), (20000, 3))
    x = model.scm.sample(noise, np.zeros((2, 3), bool), np.zeros((2, 3)))
    assert x.dtype == noise.dtype
    np.testing.assert_allclose(x[..., 0], 1 + 2 * noise[..., 0], rtol=1e-5)
    b = np.sort(x[0, :, 1])
    assert 55 <= b[0] < 55.01 and 74.99 < b[-1] <= 75
    np.testing.assert_allclose(b, np.linspace(55, 75, 20000), atol=0.3)
    np.testing.assert_allclose(x[..., 2], x[..., 0] + x[..., 1], rtol=1e-6)
    assert model.settable == (True, False, False)
    # The noiseless mechanism of a root is its mean.
    np.testing.assert_allclose(model.scm.mechanism(np.array([1]), x)[0], 65)
    assert model.scm.low[0, 1] == pytest.approx(55, abs=0.2)


def test_copies_are_set_to_values_of_their_own():
    model = from_expressions({"A": "", "B": "A**2"}, {"A": 1.0}, {"A": (-3, 3)})
    chosen, values = np.array([[True, False], [False, False]]), np.array([[3.0, 0.0], [9.0, 9.0]])
    x = model.scm.sample(
        counter_rng.normal(counter_rng.make_keys(0, 2), (50, 2)).astype(float), chosen, values
    )
    assert (x[0] == [3, 9]).all() and x[1, :, 0].std() > 0.5


def test_the_normal_distribution_function_is_exact_to_1e_7():
    z = np.array([-5.0, -1.959964, -0.5, 0.0, 0.5, 1.644854, 5.0])
    expected = [2.866516e-7, 0.025, 0.30853754, 0.5, 0.69146246, 0.95, 1 - 2.866516e-7]
    np.testing.assert_allclose(normal_cdf(z), expected, atol=1e-7)
