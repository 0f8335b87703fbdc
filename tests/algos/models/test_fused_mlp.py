# pyright: basic
"""The hand-written network: the same numbers and the same gradient as autograd's."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from algos.models import fused_mlp
from algos.models.fused_mlp import Layout, twin_mlp

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
    return twin_mlp(x, flat, layout.split_weights(fused_mlp.to_native_array(flat)), layout)


def gradients(layout, trunks, flat, x):
    """Outputs, values and the gradient of a loss of both: ours, and that of the torch modules."""
    ours = run(x, flat, layout)
    theirs = trunks["policy"](x), trunks["critic"](x)[:, 0]
    weigh = torch.randn_like(theirs[0])
    for outputs, values in (ours, theirs):
        ((weigh * outputs).sum() + values.square().sum()).backward()
    return (*ours, flat.grad), (*theirs, gathered(layout, trunks, lambda p: p.grad))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(("hidden", "value_hidden"), SHAPES)
def test_outputs_and_gradient_equal_those_of_plain_torch_modules(
    hidden, value_hidden, activation, outputs
):
    layout, trunks, flat, x = network(hidden, value_hidden, activation, outputs)
    assert torch.autograd.gradcheck(lambda f: run(x, f, layout), flat)
    ours, theirs = gradients(layout, trunks, flat, x)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("hidden", "value_hidden"), SHAPES)
def test_torch_computes_what_numpy_does(hidden, value_hidden, monkeypatch):
    monkeypatch.setattr(fused_mlp, "to_native_array", torch.Tensor.detach)  # as on a GPU
    ours, theirs = gradients(*network(hidden, value_hidden))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("hidden", "value_hidden"), SHAPES)
def test_without_a_gradient_the_numbers_are_the_same(hidden, value_hidden):
    layout, _, flat, x = network(hidden, value_hidden)
    with torch.no_grad():
        without = run(x, flat, layout)
    for a, b in zip(without, run(x, flat, layout), strict=True):
        assert torch.equal(a, b)


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
