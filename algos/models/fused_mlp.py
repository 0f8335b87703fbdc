"""Policy and critic perceptrons with one parameter, and their passes forward and back on NumPy.

On a CPU a small network spends most of its time in the overhead of calls, not in arithmetic. Here
both trunks lie side by side, and all weights are views of one flat vector, so that gradient,
clipping and optimiser are one operation each. NumPy's calls cost a fraction of torch's, and its
tanh is vectorised. What it cannot do is left to torch (:func:`forward_trunk`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from algos.actions.array_backend import Array, get_array_module


class TrunkBlock(NamedTuple):
    """The part of a layer that belongs to one trunk."""

    trunk: str
    columns: slice
    next_weight: str
    """Name of the weight that reads it: of the trunk's next layer or of its outputs."""


class Layer(NamedTuple):
    """Hidden units of both trunks side by side, or of the only one that is this deep."""

    width: int
    bias: str
    blocks: tuple[TrunkBlock, ...]


SATURATION_LIMIT = 0.99
"""A tanh beyond this passes on less than a fiftieth of its gradient."""


class Layout:
    """Positions of the two trunks' weights in the flat parameter vector.

    Args:
        inputs: size of the observation I.
        hidden: widths of the policy's hidden layers.
        outputs: numbers the policy gives, P.
        activation: ``tanh`` or ``relu``.
        value_hidden: widths of the critic's hidden layers; empty: the same as the policy's.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        activation: str = "tanh",
        value_hidden: Sequence[int] = (),
    ) -> None:
        self.activation = activation
        trunks = {"policy": tuple(hidden), "critic": tuple(value_hidden or hidden)}
        depth = max(len(widths) for widths in trunks.values())
        self.layers = [_layer(trunks, i) for i in range(depth)]
        # The first layer reads the same input for both: policy columns, then critic columns.
        shapes: dict[str, tuple[int, ...]] = {"first.weight": (inputs, self.layers[0].width)}
        shapes[self.layers[0].bias] = (self.layers[0].width,)
        for i, layer in enumerate(self.layers[1:], 1):
            for block in layer.blocks:
                before, width = trunks[block.trunk][i - 1 : i + 1]
                shapes[f"{block.trunk}.hidden{i}.weight"] = (before, width)
            shapes[layer.bias] = (layer.width,)
        for trunk, size in (("policy", outputs), ("critic", 1)):
            shapes[f"{trunk}.weight"] = (trunks[trunk][-1], size)
            shapes[f"{trunk}.bias"] = (size,)
        self.shapes = shapes
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()]).tolist()
        self.size: int = ends[-1]
        self._slices = [slice(a, b) for a, b in pairwise([0, *ends])]

    def split_weights(self, flat: Array) -> dict[str, Array]:
        """Return each weight by name as a view of flat [size]."""
        parts = zip(self.shapes.items(), self._slices, strict=True)
        return {name: flat[span].reshape(shape) for (name, shape), span in parts}

    def split_trunk_weights(self, flat: Array, trunk: str) -> dict[str, Array]:
        """Return the weights of ``policy`` or ``critic`` by name as views of flat [size]."""
        weights = self.split_weights(flat)
        parts = {name: part for name, part in weights.items() if name.startswith(f"{trunk}.")}
        # First weight and biases hold the columns of both trunks.
        for i, layer in enumerate(self.layers):
            for block in layer.blocks:
                if block.trunk == trunk:
                    parts[layer.bias] = weights[layer.bias][block.columns]
                    if i == 0:
                        parts["first.weight"] = weights["first.weight"][:, block.columns]
        return parts

    def split_trunk_layers(self, flat: Array, trunk: str) -> list[tuple[Array, Array]]:
        """Return views of weight and bias of each layer of a trunk, from input to outputs."""
        parts = self.split_trunk_weights(flat, trunk)
        biases = [layer.bias for layer in self.layers if layer.bias in parts]
        hidden = [f"{trunk}.hidden{i}.weight" for i in range(1, len(biases))]
        weights = ["first.weight", *hidden, f"{trunk}.weight"]
        pairs = zip(weights, [*biases, f"{trunk}.bias"], strict=True)
        return [(parts[weight], parts[bias]) for weight, bias in pairs]

    def initialise(self, flat: Tensor) -> None:
        """Fill in orthogonal weights and zero biases (Andrychowicz et al. 2021)."""
        # Small policy outputs make the first policy close to uniform; hidden layers get
        # sqrt 2.
        gains = {"policy.weight": 0.01, "critic.weight": 1.0}
        with torch.no_grad():
            flat.zero_()
            weight = self.split_weights(flat)
            first = weight.pop("first.weight")
            # Block by block: drawn jointly, the columns of one trunk would depend on
            # the other's width.
            parts = {f"{b.trunk}.first.weight": first[:, b.columns] for b in self.layers[0].blocks}
            for name, part in (parts | weight).items():
                if name.endswith("weight"):
                    part.copy_(_orthogonal(part, gains.get(name, 2**0.5)))


def _layer(trunks: dict[str, tuple[int, ...]], i: int) -> Layer:
    """Return hidden layer i of the trunks that are deep enough to have one."""
    blocks: list[TrunkBlock] = []
    end = 0
    for trunk, widths in trunks.items():
        if i < len(widths):
            feeds = f"{trunk}.hidden{i + 1}.weight" if i + 1 < len(widths) else f"{trunk}.weight"
            blocks.append(TrunkBlock(trunk, slice(end, end + widths[i]), feeds))
            end += widths[i]
    return Layer(end, f"hidden{i}.bias" if i else "first.bias", tuple(blocks))


def forward(x: Array, weight: dict[str, Array], layout: Layout) -> tuple[list[Array], Array, Array]:
    """Return hidden layers [N, layer.width], policy outputs [N, P] and values [N]."""
    layers: list[Array] = []
    # Each trunk's highest layer so far, and the weight that reads it: the trunks may differ in
    # depth, so a layer may belong to one of them only.
    top: dict[str, tuple[Array, Array]] = {}
    for layer in layout.layers:
        if layers:
            # Both trunks write into one array: bias and activation are then one call for both.
            h = np.empty((len(x), layer.width), x.dtype)
            for trunk, columns, _ in layer.blocks:
                np.matmul(*top[trunk], out=h[:, columns])
        else:
            # The input is the same for both trunks: one product serves both.
            h = np.matmul(x, weight["first.weight"])
        h += weight[layer.bias]
        layers.append(_activate(h, layout.activation))
        for trunk, columns, feeds in layer.blocks:
            top[trunk] = h[:, columns], weight[feeds]
    outputs = np.matmul(*top["policy"])
    outputs += weight["policy.bias"]
    values = np.matmul(*top["critic"])
    values += weight["critic.bias"]
    return layers, outputs, values[:, 0]


def forward_trunk(x: Array, layers: list[tuple[Array, Array]], activation: str) -> Array:
    """Return the outputs [N, P] of one trunk, given weight and bias of each of its layers.

    On tensors torch can differentiate and trace it, as learning and exports do.
    """
    lib = get_array_module(x)
    *hidden, (weight, bias) = layers
    for inner, shift in hidden:
        x = lib.matmul(x, inner)
        x += shift
        _activate(x, activation)
    x = lib.matmul(x, weight)
    x += bias
    return x


def backward(
    x: Array,
    layers: list[Array],
    weight: dict[str, Array],
    upstream: tuple[Array, Array],
    gradients: dict[str, Array],
    layout: Layout,
) -> None:
    """Write the weights' gradients, given those of outputs [N, P] and values [N, 1]."""
    ones = np.ones_like(x[:, 0])  # a product with it sums over rows faster than a sum does
    above: dict[str, Array] = {"policy": upstream[0], "critic": upstream[1]}
    for trunk, g in above.items():
        np.matmul(g.T, ones, out=gradients[f"{trunk}.bias"])
    # From the outputs down. ``above`` holds, for each trunk, the gradient by the pre-activations of
    # the layer above; ``h`` are the activations of this layer, whose slope follows from them.
    down: Array = None  # there is at least one layer
    for layer, h in zip(reversed(layout.layers), reversed(layers), strict=True):
        down = np.empty_like(h)
        for trunk, columns, feeds in layer.blocks:
            read = weight[feeds]
            product = np.multiply if read.shape[1] == 1 else np.matmul  # an outer product
            np.matmul(h[:, columns].T, above[trunk], out=gradients[feeds])
            product(above[trunk], read.T, out=down[:, columns])
            # No other name may hold the layer above: one more array alive at the peak and malloc
            # gives memory back and faults it in again in every call (a third slower).
            above[trunk] = down[:, columns]
        _apply_activation_gradient(down, h, layout.activation)
        np.matmul(down.T, ones, out=gradients[layer.bias])
    np.matmul(x.T, down, out=gradients["first.weight"])


def dead_unit_fraction(layers: list[Array], activation: str) -> float:
    """Return the fraction of units [H] that are saturated in all N rows of hidden layers."""
    dead = [
        (h == 0).all(0) if activation == "relu" else (abs(h) > SATURATION_LIMIT).all(0)
        for h in layers
    ]
    return sum(float(d.sum()) for d in dead) / sum(len(d) for d in dead)


def _activate(h: Array, activation: str) -> Array:
    # In place: the backward pass computes the slope from the output and never needs the input.
    if isinstance(h, Tensor):  # autograd refuses `out`
        return h.tanh_() if activation == "tanh" else h.relu_()
    return np.tanh(h, out=h) if activation == "tanh" else np.clip(h, 0, None, out=h)


def _apply_activation_gradient(gradient: Array, output: Array, activation: str) -> None:
    """Multiply a gradient by the activation's derivative, in place."""
    if activation == "relu":
        gradient *= output > 0
    else:
        # d tanh = 1 - tanh^2: g - g h^2, in two arrays instead of three.
        slope = output * output
        slope *= gradient
        gradient -= slope


def _orthogonal(like: Tensor, gain: float) -> Tensor:
    # Transposed, because torch initialises [out, in] and these weights are [in, out].
    weight = torch.empty(like.shape[::-1], dtype=like.dtype)
    return torch.nn.init.orthogonal_(weight, gain).T
