# pyright: basic
"""Gradients of recorded losses are autograd's."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from algos import losses
from algos.losses.loss_expressions import Tape, differentiable
from algos.rollouts.columns import Ragged

# x and y are what the loss is differentiated by, z is a column of the minibatch; all [4].
FORMULAS = {
    "arithmetic": lambda x, y, z: (3 - x) * y / 2 + z - (-x) / z + 1 / y - x / y + z / x,
    "array to the left": lambda x, y, z: z * x + (z - y) + z / 3 * y,
    "powers": lambda x, y, z: x**2 * y**-1 + z * x**3,
    "exp and log": lambda x, y, z: (x - z).exp() * torch.log(y) + torch.exp(z) * x.log(),
    "clamp": lambda x, y, z: x.clamp(0.8, 1.2) * y + torch.clamp(z * x, max=1.5),
    "minimum": lambda x, y, z: torch.minimum(x * z, x.clamp(0.8, 1.2) * z) + torch.minimum(y, x),
    "maximum": lambda x, y, z: torch.maximum(x, y * z),
    "logsigmoid": lambda x, y, z: logsigmoid(40 * (x - y)) * z,
    "a scalar among rows": lambda x, y, z: x * y.mean() + z * x.sum() - y.mean() * y.mean(),
    "parts": lambda x, y, z: x[:2] * y[2:] + (x * z)[2:],
    "used twice": lambda x, y, z: (x * x).exp() * x + x,
    "surrogate": lambda x, y, z: losses.clipped_surrogate(x, z, z - 1, 0.3) * y,
    "KL": lambda x, y, z: losses.kl_estimate(x, z) + losses.kl_estimate(y, x),
    "value error": lambda x, y, z: losses.value_error(x * y, z),
    "preference": lambda x, y, z: losses.dpo_loss(x, y, z, 2 * z, 0.3),
    "regression": lambda x, y, z: losses.astar_regression(x, z, y, 0.3),
}
NUMBERS = st.lists(st.floats(0.25, 2, width=32), min_size=12, max_size=12)


def gradients_of(formula, x, y, z):
    """Those by x and y of the mean of a formula, on NumPy."""
    tape = Tape()
    symbols = [tape.add_input(name, len(x)) for name in "xyz"]
    gradient = tape.differentiate(formula(*symbols).mean(), symbols[:2])
    found = gradient({"x": x, "y": y, "z": z}, 0.5)
    return [np.broadcast_to(0.0 if g is None else g, len(x)) for g in found]


@pytest.mark.parametrize("name", FORMULAS)
@settings(derandomize=True, max_examples=20)
@given(NUMBERS)
def test_the_gradient_is_autograds(name, drawn):
    x, y, z = torch.tensor(drawn).reshape(3, 4)
    # At the corners of clamp and minimum any slope between two is a gradient.
    x = torch.where(((x - z).exp() - 1).abs().sub(0.3).abs() < 1e-3, x + 0.01, x)
    found = gradients_of(FORMULAS[name], x.numpy(), y.numpy(), z.numpy())
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    (0.5 * FORMULAS[name](x, y, z).mean()).backward()
    for leaf, own in zip((x, y), found, strict=True):
        expected = np.zeros(4) if leaf.grad is None else leaf.grad.numpy()
        np.testing.assert_allclose(own, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_a_column_of_whole_numbers_counts_as_in_torch(kind):
    def weigh(x, y, z):
        weight = 1 / z + (1.0 - z) * torch.maximum(z, z - z) - torch.minimum(z, z + 1)
        return (x + y) * weight * (z / 3) * torch.exp(z) * (2 - z)

    z = np.array([1, 2, 3, 5], kind)
    x = torch.ones(4, requires_grad=True)
    one: Any = np.ones(4, np.float32)
    found, _ = gradients_of(weigh, one, one, z)
    (0.5 * weigh(x, torch.ones(4), torch.as_tensor(z)).mean()).backward()
    assert x.grad is not None
    np.testing.assert_allclose(found, x.grad.numpy(), rtol=1e-5)


def test_rows_of_uneven_length_are_summed_in_a_record_of_one_minibatch():
    ragged = Ragged(np.arange(4.0), np.array([0, 1, 4]))
    tape = Tape(holds_arrays=True)
    x = tape.add_input("x", 4)
    total = (ragged.sum_by_row(x) * np.array([2.0, 3.0])).sum()
    (found,) = tape.differentiate(total, [x])({"x": np.ones(4)})
    assert found.tolist() == [2, 3, 3, 3]


def test_a_broken_number_stays_visible():
    one: Any = np.ones(4, np.float32)
    found, _ = gradients_of(
        lambda x, y, z: losses.clipped_surrogate(x, z, z, 0.2), one, one, np.nan * one
    )
    assert np.isnan(found).all()


def without_gradient(x):
    with torch.no_grad():
        return x.exp()


REFUSED = {
    "a decision": lambda x: x if x.sum() else -x,
    "a comparison": lambda x: x == x,
    "an order": lambda x: x * (x > 0),
    "a function of torch": lambda x: torch.sinh(x),
    "a function of NumPy": lambda x: np.sinh(x),
    "an array of this minibatch": lambda x: x * np.ones(4),
    "a tensor": lambda x: x * torch.ones(4),
    "another axis": lambda x: x.mean(-1),
    "one row": lambda x: x[0],
    "rows of another number": lambda x: (x + x[:2]).mean(),
    "rows of another number in a function": lambda x: losses.value_error(x, x[:2]).mean(),
    "what has no gradient": lambda x: (x * without_gradient(x)).mean(),
    "a column of picks": lambda x: x[[0, 1]],
    "rows where a scalar is needed": lambda x: x,
    "an argument without a derivative": lambda x: losses.value_error(0 * x, x).sum(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_whatever_else_a_loss_does_raises(name):
    tape = Tape()
    x = tape.add_input("x", 4)
    with pytest.raises((TypeError, AttributeError)):
        tape.differentiate(REFUSED[name](x), [x])


def test_the_same_record_is_the_same_code():
    def record_of(weight):
        tape = Tape()
        x = tape.add_input("x", 4)
        return tape.differentiate((weight * x.exp()).mean(), [x])

    first, second = record_of(2.0), record_of(3.0)
    assert first._compute is second._compute
    assert second({"x": np.zeros(4)})[0].tolist() == [0.75] * 4


def test_named_arguments_and_scalars_are_those_of_the_function():
    x, z = np.full(4, 2, np.float32), np.ones(4, np.float32)
    by_name, _ = gradients_of(lambda x, _, z: losses.clipped_surrogate(x, z, z, clip=9.0), x, z, z)
    by_place, _ = gradients_of(lambda x, _, z: losses.clipped_surrogate(x, z, z, 9.0), x, z, z)
    np.testing.assert_allclose(by_name, by_place)
    mean, _ = gradients_of(lambda x, _, z: losses.value_error(x.mean(), z), x, z, z)
    np.testing.assert_allclose(mean, 0.5 * 2 * (2 - 1) / 4)


def test_a_function_with_derivatives_is_one_for_tensors_too():
    @differentiable(x=lambda x, power: power * x ** (power - 1))
    def raise_to(x, power):
        return x**power

    assert raise_to(torch.tensor([3.0]), power=2).tolist() == [9]
    tape = Tape()
    x = tape.add_input("x", 1)
    total = (raise_to(x, 3.0) ** 2).sum()  # d x^6 = 6 x^5, which reads the function's value
    (found,) = tape.differentiate(total, [x])({"x": np.array([2.0])})
    assert found.tolist() == [192]
