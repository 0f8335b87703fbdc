"""Policy and critic perceptrons as one operation with one parameter and a hand-written backward.

On a CPU a small network spends most of its time in the overhead of calls, not in arithmetic. Here
both trunks lie side by side, all weights are views of one flat vector (so that gradient, clipping
and optimiser are one operation each), and autograd sees a single node. On a CPU that node computes
with numpy, whose calls cost a fraction of torch's and whose tanh is vectorised; on a GPU the very
same lines compute with torch. The tests check its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from algos.native import Array, library, native


class Layout:
    """Where each weight of the two trunks lies in the flat vector.

    Args:
        inputs: size of the observation I.
        hidden: widths H of the hidden layers, the same for both trunks.
        outputs: numbers the policy gives, P.
        activation: ``tanh`` or ``relu``.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], outputs: int, activation: str = "tanh"
    ) -> None:
        self.hidden, self.activation = tuple(hidden), activation
        first, last = hidden[0], hidden[-1]
        # The first layer reads the same input for both: policy columns, then critic columns.
        shapes: dict[str, tuple[int, ...]] = {"first.weight": (inputs, 2 * first)}
        shapes["first.bias"] = (2 * first,)
        for i, (before, width) in enumerate(pairwise(hidden), 1):
            shapes[f"hidden{i}.weight"] = (2, before, width)  # policy, critic
            shapes[f"hidden{i}.bias"] = (2 * width,)
        shapes |= {"policy.weight": (last, outputs), "policy.bias": (outputs,)}
        shapes |= {"critic.weight": (last, 1), "critic.bias": (1,)}
        self.shapes = shapes
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()]).tolist()
        self.size: int = ends[-1]
        self._slices = [slice(a, b) for a, b in pairwise([0, *ends])]

    def views(self, flat: Array) -> dict[str, Array]:
        """flat [size] -> each weight by name, sharing its memory."""
        parts = zip(self.shapes.items(), self._slices, strict=True)
        return {name: flat[place].reshape(shape) for (name, shape), place in parts}

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
    x: Tensor, flat: Tensor, weight: dict[str, Array], layout: Layout
) -> tuple[Tensor, Tensor]:
    """x [N, I], flat [layout.size] -> policy outputs [N, P] and values [N].

    ``weight`` holds the views of ``native(flat)``. No gradient flows to x.
    """
    if not torch.is_grad_enabled():
        _, outputs, values = forward(native(x), weight, layout)
        return torch.as_tensor(outputs), torch.as_tensor(values)
    return _TwinMLP.apply(x, flat, weight, layout)  # type: ignore[return-value]


class _TwinMLP(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, flat: Tensor, weight: dict[str, Array], layout: Layout
    ) -> tuple[Tensor, Tensor]:
        ctx.x, ctx.weight, ctx.layout, ctx.flat = native(x), weight, layout, flat
        ctx.layers, outputs, values = forward(ctx.x, weight, layout)
        return torch.as_tensor(outputs), torch.as_tensor(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found = torch.empty_like(ctx.flat)
        upstream = native(gradients[0]), native(gradients[1])[:, None]
        into = ctx.layout.views(native(found))
        _backward(ctx.x, ctx.layers, ctx.weight, upstream, into, ctx.layout)
        return None, found, None, None


def forward(x: Array, weight: dict[str, Array], layout: Layout) -> tuple[list[Array], Array, Array]:
    """x [N, I] -> hidden layers [N, 2 H], policy outputs [N, P] and values [N]."""
    lib = library(x)
    h = lib.matmul(x, weight["first.weight"])
    h += weight["first.bias"]
    layers = [_activate(lib, h, layout.activation)]
    for i, width in enumerate(layout.hidden[1:], 1):
        before, h = layers[-1], _empty_like(x, (len(x), 2 * width))
        half, pair = layout.hidden[i - 1], weight[f"hidden{i}.weight"]
        lib.matmul(before[:, :half], pair[0], out=h[:, :width])
        lib.matmul(before[:, half:], pair[1], out=h[:, width:])
        h += weight[f"hidden{i}.bias"]
        layers.append(_activate(lib, h, layout.activation))
    half, h = layout.hidden[-1], layers[-1]
    outputs = lib.matmul(h[:, :half], weight["policy.weight"])
    outputs += weight["policy.bias"]
    values = lib.matmul(h[:, half:], weight["critic.weight"])
    values += weight["critic.bias"]
    return layers, outputs, values[:, 0]


def _backward(
    x: Array,
    layers: list[Array],
    weight: dict[str, Array],
    upstream: tuple[Array, Array],
    into: dict[str, Array],
    layout: Layout,
) -> None:
    """Gradients of outputs [N, P] and values [N, 1] -> those of all weights, written ``into``."""
    lib = library(x)
    half, h = layout.hidden[-1], layers[-1]
    ones = lib.ones_like(x[:, 0])  # a product with it sums over rows faster than a sum does
    for name, g, block in zip(
        ("policy", "critic"), upstream, (h[:, :half], h[:, half:]), strict=True
    ):
        lib.matmul(block.T, g, out=into[f"{name}.weight"])
        lib.matmul(ones, g, out=into[f"{name}.bias"])
    g = _empty_like(h, h.shape)
    lib.matmul(upstream[0], weight["policy.weight"].T, out=g[:, :half])
    lib.multiply(upstream[1], weight["critic.weight"].T, out=g[:, half:])  # an outer product
    for i in range(len(layers) - 1, 0, -1):
        _through(g, layers[i], layout.activation)
        half, before, below = layout.hidden[i], layout.hidden[i - 1], layers[i - 1]
        pair, grads = weight[f"hidden{i}.weight"], into[f"hidden{i}.weight"]
        lib.matmul(ones, g, out=into[f"hidden{i}.bias"])
        lib.matmul(below[:, :before].T, g[:, :half], out=grads[0])
        lib.matmul(below[:, before:].T, g[:, half:], out=grads[1])
        down = _empty_like(below, below.shape)
        lib.matmul(g[:, :half], pair[0].T, out=down[:, :before])
        lib.matmul(g[:, half:], pair[1].T, out=down[:, before:])
        g = down
    _through(g, layers[0], layout.activation)
    lib.matmul(x.T, g, out=into["first.weight"])
    lib.matmul(ones, g, out=into["first.bias"])


def _activate(lib: Any, h: Array, activation: str) -> Array:
    return lib.tanh(h, out=h) if activation == "tanh" else h.clip(0, out=h)


def _through(gradient: Array, output: Array, activation: str) -> None:
    """Multiply a gradient by the activation's derivative, in place."""
    if activation == "relu":
        gradient *= output > 0
    else:
        slope = output * output
        slope *= gradient
        gradient -= slope


def _empty_like(like: Array, shape: tuple[int, ...]) -> Array:
    return np.empty(shape, like.dtype) if isinstance(like, np.ndarray) else like.new_empty(shape)


def _orthogonal(like: Tensor, gain: float) -> Tensor:
    weight = torch.empty(like.shape[::-1], dtype=like.dtype)
    return torch.nn.init.orthogonal_(weight, gain).T
