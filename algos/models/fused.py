"""Policy and critic perceptrons as one operation with one parameter and a hand-written backward.

On a CPU a small network spends most of its time in autograd's bookkeeping, in one optimiser step
per parameter and in torch's tanh. Here both trunks lie side by side, all weights are views of one
flat vector (so that gradient, clipping and optimiser are one operation each), tanh is computed
through the much faster sigmoid, and autograd sees a single node. The tests check its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

Activation = str
"""``tanh`` or ``relu``."""


class Layout:
    """Where each weight of the two trunks lies in the flat vector.

    Args:
        inputs: size of the observation I.
        hidden: widths H of the hidden layers, the same for both trunks.
        outputs: numbers the policy gives, P.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        self.hidden = tuple(hidden)
        first, last = hidden[0], hidden[-1]
        # The first layer reads the same input for both: policy columns, then critic columns.
        shapes: dict[str, tuple[int, ...]] = {
            "first.weight": (inputs, 2 * first),
            "first.bias": (2 * first,),
        }
        for i, (before, width) in enumerate(pairwise(hidden), 1):
            shapes[f"hidden{i}.weight"] = (2, before, width)  # policy, critic
            shapes[f"hidden{i}.bias"] = (2 * width,)
        shapes |= {"policy.weight": (last, outputs), "policy.bias": (outputs,)}
        shapes |= {"critic.weight": (last, 1), "critic.bias": (1,)}
        self.shapes = shapes
        self.sizes = [math.prod(shape) for shape in shapes.values()]

    @property
    def size(self) -> int:
        """Number of weights."""
        return sum(self.sizes)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """flat [size] -> each weight by name, sharing its memory."""
        parts = flat.split(self.sizes)
        return {n: p.view(shape) for (n, shape), p in zip(self.shapes.items(), parts, strict=True)}

    def initialise(self, flat: Tensor) -> None:
        """Orthogonal weights, zero biases (Andrychowicz et al. 2021: a small last policy layer)."""
        gains = {"policy.weight": 0.01, "critic.weight": 1.0}
        with torch.no_grad():
            flat.zero_()
            for name, view in self.views(flat).items():
                if name == "first.weight":
                    blocks = view.chunk(2, 1)
                else:
                    blocks = view.unbind(0) if view.ndim == 3 else (view,)
                if name.endswith("weight"):
                    for block in blocks:
                        block.copy_(_orthogonal(block, gains.get(name, 2**0.5)))


def twin_mlp(
    x: Tensor, flat: Tensor, weight: dict[str, Tensor], layout: Layout, activation: Activation
) -> tuple[Tensor, Tensor]:
    """x [N, I], flat [layout.size] and its own views -> policy outputs [N, P] and values [N].

    No gradient flows to x.
    """
    if torch.is_grad_enabled():
        return _TwinMLP.apply(x, flat, weight, layout, activation)  # type: ignore[return-value]
    return _forward(x, weight, layout, activation)[1:]


class _TwinMLP(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        flat: Tensor,
        weight: dict[str, Tensor],
        layout: Layout,
        activation: Activation,
    ) -> tuple[Tensor, Tensor]:
        ctx.weight, ctx.layout, ctx.activation = weight, layout, activation
        layers, outputs, values = _forward(x, weight, layout, activation)
        ctx.save_for_backward(x, flat, *layers)
        return outputs, values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, flat, *layers = ctx.saved_tensors
        found = torch.empty_like(flat)
        weight, grad = ctx.weight, ctx.layout.views(found)
        upstream = (gradients[0], gradients[1][:, None])
        pair = (weight["policy.weight"], weight["critic.weight"])
        halves = layers[-1].chunk(2, 1)
        for name, g, h in zip(("policy", "critic"), upstream, halves, strict=True):
            torch.mm(h.T, g, out=grad[f"{name}.weight"])
            torch.sum(g, 0, out=grad[f"{name}.bias"])
        for i in range(len(layers) - 1, -1, -1):
            h = layers[i]
            g = torch.empty_like(h)
            for block, up, w in zip(g.chunk(2, 1), upstream, pair, strict=True):
                torch.mm(up, w.T, out=block)
            g = _derivative(g, h, ctx.activation)
            if i == 0:
                torch.mm(x.T, g, out=grad["first.weight"])
                torch.sum(g, 0, out=grad["first.bias"])
                break
            upstream, pair = g.chunk(2, 1), weight[f"hidden{i}.weight"].unbind(0)
            torch.sum(g, 0, out=grad[f"hidden{i}.bias"])
            halves = layers[i - 1].chunk(2, 1)
            for h, up, out in zip(halves, upstream, grad[f"hidden{i}.weight"], strict=True):
                torch.mm(h.T, up, out=out)
        return None, found, None, None, None


def _forward(
    x: Tensor, weight: dict[str, Tensor], layout: Layout, activation: Activation
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Hidden layers [N, 2 H], policy outputs [N, P] and values [N]."""
    h = _activate(torch.addmm(weight["first.bias"], x, weight["first.weight"]), activation)
    layers = [h]
    for i, width in enumerate(layout.hidden[1:], 1):
        after = h.new_empty(len(x), 2 * width)
        blocks = zip(h.chunk(2, 1), weight[f"hidden{i}.weight"], after.chunk(2, 1), strict=True)
        for before, w, out in blocks:
            torch.mm(before, w, out=out)
        h = _activate(after.add_(weight[f"hidden{i}.bias"]), activation)
        layers.append(h)
    policy, critic = h.chunk(2, 1)
    outputs = torch.addmm(weight["policy.bias"], policy, weight["policy.weight"])
    values = torch.addmm(weight["critic.bias"], critic, weight["critic.weight"])
    return layers, outputs, values[:, 0]


def _activate(x: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        return x.relu_()
    # tanh(x) = 2 sigmoid(2x) - 1, to float32 precision; sigmoid is vectorised, tanh is not.
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def _derivative(gradient: Tensor, output: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        return torch.ops.aten.threshold_backward(gradient, output, 0)
    return torch.ops.aten.tanh_backward(gradient, output)


def _orthogonal(like: Tensor, gain: float) -> Tensor:
    weight = torch.empty(like.shape[::-1], dtype=like.dtype)
    return torch.nn.init.orthogonal_(weight, gain).T
