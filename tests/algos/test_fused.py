# pyright: basic
"""The hand-written network: the same numbers and the same gradient as autograd's."""

import naive
import pytest
import torch

from algos.models.fused import Layout, twin_mlp
from algos.native import native

SHAPES = [(6,), (6, 5), (4, 6, 5)]


def network(hidden, activation, seed=0):
    torch.manual_seed(seed)
    layout = Layout(4, hidden, 3, activation)
    flat = torch.randn(layout.size, dtype=torch.float64, requires_grad=True)
    x = torch.randn(7, 4, dtype=torch.float64)
    return flat, x, lambda f: twin_mlp(x, f, layout.views(native(f)), layout), layout


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("hidden", SHAPES)
def test_outputs_and_gradient_equal_those_of_a_layer_by_layer_network(hidden, activation):
    flat, x, run, layout = network(hidden, activation)
    assert torch.autograd.gradcheck(run, flat)
    outputs, values = run(flat)
    same_outputs, same_values = naive.twin_mlp(x, layout.views(flat), hidden, activation)
    torch.testing.assert_close(outputs, same_outputs)
    torch.testing.assert_close(values, same_values)
    weigh = torch.randn_like(outputs)
    (ours,) = torch.autograd.grad((weigh * outputs).sum() + values.square().sum(), flat)
    naive_loss = (weigh * same_outputs).sum() + same_values.square().sum()
    (theirs,) = torch.autograd.grad(naive_loss, flat)
    torch.testing.assert_close(ours, theirs)


def test_without_a_gradient_the_numbers_are_the_same():
    flat, _, run, _ = network((6, 5), "tanh")
    with torch.no_grad():
        plain = run(flat)
    for a, b in zip(plain, run(flat), strict=True):
        assert torch.equal(a, b)


def test_the_first_layers_are_orthogonal_and_the_policy_starts_nearly_uniform():
    layout = Layout(8, (8, 8), 4)
    flat = torch.empty(layout.size)
    layout.initialise(flat)
    weight = layout.views(flat)
    policy, critic = weight["first.weight"].chunk(2, 1)
    for block in (policy, critic, *weight["hidden1.weight"]):
        torch.testing.assert_close(block.T @ block, 2 * torch.eye(8), atol=1e-5, rtol=0)
    assert weight["policy.weight"].norm(dim=0).max() < 0.011
    assert weight["first.bias"].abs().max() == 0
