# pyright: basic
"""The hand-written passes: the same numbers and the same gradient as torch's modules."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from algos.models.fused_mlp import Layout, backward, forward, forward_trunk

SHAPES = [
    ((6,), ()),
    ((6, 5), ()),
    ((4, 6, 5), ()),
    ((6, 5), (3, 8)),
    ((4, 6, 5), (7,)),
    ((6,), (4, 7, 5)),
    ((6, 5), (3, 4, 7, 2)),
]
"""Hidden widths of the policy and of the critic: equal, of other widths, either one deeper."""
INPUTS, ROWS = 4, 7


def plain(widths, activation):
    """A trunk as torch modules."""
    f = {"tanh": nn.Tanh, "relu": nn.ReLU}[activation]
    layers = [(nn.Linear(*sizes, dtype=torch.float64), f()) for sizes in pairwise(widths)]
    return nn.Sequential(*[part for layer in layers for part in layer][:-1])


def gathered(layout, trunks, read):
    """What ``read`` finds of each torch parameter (its value, its gradient), as a flat vector."""
    flat = torch.full((layout.size,), math.nan, dtype=torch.float64)
    weight = layout.split_weights(flat)
    for trunk, modules in trunks.items():
        linears = [part for part in modules if isinstance(part, nn.Linear)]
        for i, linear in enumerate(linears):
            width = linear.out_features
            side = slice(None, width) if trunk == "policy" else slice(-width, None)
            if linear is linears[-1]:
                w, b = weight[f"{trunk}.weight"], weight[f"{trunk}.bias"]
            elif i == 0:
                w, b = weight["first.weight"][:, side], weight["first.bias"][side]
            else:
                w, b = weight[f"{trunk}.hidden{i}.weight"], weight[f"hidden{i}.bias"][side]
            w.copy_(read(linear.weight).T)
            b.copy_(read(linear.bias))
    return flat


def network(hidden, value_hidden, activation="tanh", outputs=3):
    """Both trunks as torch modules, and the same ones as a flat vector."""
    torch.manual_seed(0)
    layout = Layout(INPUTS, hidden, outputs, activation, value_hidden)
    policy = plain((INPUTS, *hidden, outputs), activation)
    trunks = {"policy": policy, "critic": plain((INPUTS, *(value_hidden or hidden), 1), activation)}
    flat = gathered(layout, trunks, lambda parameter: parameter.detach()).requires_grad_()
    return layout, trunks, flat, torch.randn(ROWS, INPUTS, dtype=torch.float64)


def run(x, flat, layout):
    """Outputs and values by torch."""
    split = layout.split_trunk_layers
    outputs, values = (
        forward_trunk(x, split(flat, trunk), layout.activation) for trunk in ("policy", "critic")
    )
    return outputs, values[:, 0]


def run_on_numpy(x, flat, layout, weigh):
    """Outputs, values and the gradient of the loss below, by the passes on NumPy."""
    x, weight = x.numpy(), layout.split_weights(flat.detach().numpy())
    layers, outputs, values = forward(x, weight, layout)
    gradient = np.full(layout.size, math.nan)
    upstream = weigh.numpy(), 2 * values[:, None]
    backward(x, layers, weight, upstream, layout.split_weights(gradient), layout)
    return tuple(map(torch.from_numpy, (outputs, values, gradient)))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(("hidden", "value_hidden"), SHAPES)
def test_outputs_and_gradient_equal_those_of_plain_torch_modules(
    hidden, value_hidden, activation, outputs
):
    layout, trunks, flat, x = network(hidden, value_hidden, activation, outputs)
    ours = run(x, flat, layout)
    theirs = trunks["policy"](x), trunks["critic"](x)[:, 0]
    weigh = torch.randn_like(theirs[0])
    for policy, values in (ours, theirs):
        ((weigh * policy).sum() + values.square().sum()).backward()
    expected = (*theirs, gathered(layout, trunks, lambda p: p.grad))
    torch.testing.assert_close((*ours, flat.grad), expected)
    torch.testing.assert_close(run_on_numpy(x, flat, layout, weigh), expected)


def test_the_policy_widths_are_the_default_of_the_critic():
    assert Layout(INPUTS, (6, 5), 3, "tanh", (6, 5)).shapes == Layout(INPUTS, (6, 5), 3).shapes


@pytest.mark.parametrize(("hidden", "value_hidden"), SHAPES)
def test_weights_fill_the_flat_vector_without_gap_or_overlap(hidden, value_hidden):
    layout = Layout(INPUTS, hidden, 3, "tanh", value_hidden)
    flat = torch.zeros(layout.size)
    for view in layout.split_weights(flat).values():
        view += 1
    assert (flat == 1).all()


def test_layers_start_orthogonal_and_the_policy_near_uniform():
    layout = Layout(8, (8, 8), 4, "tanh", (6, 8, 3))
    flat = torch.empty(layout.size)
    layout.initialise(flat)
    weight = layout.split_weights(flat)
    policy, critic = weight["first.weight"].split([8, 6], 1)
    deeper = [weight[f"{name}.weight"] for name in ("policy.hidden1", "critic.hidden2")]
    for block in (policy, critic, *deeper, weight["critic.hidden1.weight"].T):
        gram = block.T @ block
        torch.testing.assert_close(gram, 2 * torch.eye(len(gram)), atol=1e-5, rtol=0)
    assert weight["policy.weight"].norm(dim=0).max() < 0.011
    assert weight["critic.weight"].norm(dim=0).item() == pytest.approx(1)
    assert all((w == 0).all() for name, w in weight.items() if name.endswith("bias"))


@pytest.mark.parametrize(("hidden", "value_hidden"), SHAPES)
def test_the_policys_weights_are_those_behind_its_outputs(hidden, value_hidden):
    layout = Layout(INPUTS, hidden, 3, "tanh", value_hidden)
    flat = torch.zeros(layout.size, dtype=torch.float64)
    for part in layout.split_trunk_weights(flat, "policy").values():
        part.fill_(1)  # views of the vector
    sizes = pairwise((INPUTS, *hidden, 3))
    assert flat.sum() == sum((before + 1) * width for before, width in sizes)
