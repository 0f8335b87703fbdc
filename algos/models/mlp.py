"""Two perceptrons over the flattened observation: one for the policy, one for the value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from algos.actions.array_backend import Array, get_array_module, to_float32, to_native_array
from algos.actions.choices import DiscreteHead
from algos.models.base import MASK, PolicyModule
from algos.models.fused_mlp import (
    Layout,
    backward,
    dead_unit_fraction,
    forward,
    forward_trunk,
)


class Trace(NamedTuple):
    """Intermediate results of a forward pass that the backward pass needs."""

    x: Array
    """The flattened observations [N, I]."""
    layers: list[Array]
    """The hidden layers [N, width]."""


class ObservationFlattener:
    """Flattens observation columns into one float matrix ``[N, size]``; discrete parts one-hot."""

    def __init__(self, columns: Mapping[str, spaces.Space[Any]]) -> None:
        self.columns = {name: space for name, space in columns.items() if name != MASK}
        discrete = spaces.Discrete | spaces.MultiDiscrete
        self.supports_numpy = not any(
            isinstance(space, discrete) for space in self.columns.values()
        )
        """Whether nothing becomes one-hot; it then flattens numpy arrays, too."""
        self.size = sum(int(spaces.flatdim(space)) for space in self.columns.values())

    def __call__(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the columns [N, ...] as one matrix [N, size]."""
        parts = [self._matrix(batch[name], space) for name, space in self.columns.items()]
        return parts[0] if len(parts) == 1 else get_array_module(parts[0]).concatenate(parts, -1)

    @staticmethod
    def _matrix(column: Tensor, space: spaces.Space[Any]) -> Tensor:
        if isinstance(space, spaces.Discrete):
            return nn.functional.one_hot(column.long() - int(space.start), int(space.n)).float()
        if isinstance(space, spaces.MultiDiscrete):
            shifted = column.long() - torch.as_tensor(space.start, device=column.device)
            sizes = [int(size) for size in space.nvec.flatten()]
            columns = shifted.flatten(1).unbind(-1)
            hot = [nn.functional.one_hot(c, n) for c, n in zip(columns, sizes, strict=True)]
            return torch.cat(hot, -1).float()
        # Its len would be a constant in an exported network, which takes any number of rows.
        return to_float32(column.reshape(column.shape[0], -1))


class MLPPolicy(PolicyModule):
    """Separate trunks, so that the scale of the value error cannot disturb the policy."""

    head_weights = ("policy.weight", "policy.bias")

    def build(self) -> None:
        """Create both trunks, whose weights are one flat parameter."""
        self.flatten = ObservationFlattener(self.observation_spaces)
        config = self.model_config
        self.layout = Layout(
            self.flatten.size,
            config["hidden"],
            self.head.size,
            config["activation"],
            config["value_hidden"],
        )
        self.flat = nn.Parameter(torch.empty(self.layout.size))
        self.layout.initialise(self.flat)
        # Only Categorical has code for numpy; a tempered one computes with a torch buffer.
        draws = isinstance(self.head, DiscreteHead) and self.temperature is None
        self.acts_on_numpy = draws and self.flatten.supports_numpy
        self._views: dict[str, Any] = {}
        self._viewed = 0

    def compute_outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :class:`PolicyModule`."""
        x = self.flatten(batch)
        if isinstance(x, np.ndarray):
            return forward(x, self._get_weight_views(), self.layout)[1:]
        layout = self.layout
        trunks = (layout.split_trunk_layers(self.flat, trunk) for trunk in ("policy", "critic"))
        outputs, values = (forward_trunk(x, layers, layout.activation) for layers in trunks)
        return outputs, values[:, 0]

    @property
    def on_numpy(self) -> bool:
        """Whether numpy can compute all of it: outputs, actions and gradients.

        Not of a subclass, which may have changed one of the methods that compute the same.
        """
        if type(self) is not MLPPolicy:
            return False
        on_numpy = self.device.type == "cpu" and self.flatten.supports_numpy
        return on_numpy and self.temperature is None and self.head.on_numpy

    def freeze_policy_trunk(self) -> Callable[[Mapping[str, Array]], Array]:
        """Return a function of observation columns [N, ...] to outputs [N, head.size] (numpy).

        Later changes of the weights do not change it.
        """
        views = self.layout.split_trunk_layers(to_native_array(self.flat), "policy")
        # Contiguous copies: a product with a part of a wider matrix takes longer.
        layers = [(weight.copy(), bias.copy()) for weight, bias in views]

        def compute_outputs(batch: Mapping[str, Array]) -> Array:
            x: Any = self.flatten(self.normalise_observations(batch))  # type: ignore[arg-type]
            return forward_trunk(x, layers, self.layout.activation)

        return compute_outputs

    def trace(self, batch: Mapping[str, Array]) -> tuple[Trace, Array, Array]:
        """Return what :meth:`backpropagate` needs, outputs [N, head.size] and values [N]."""
        x = self.flatten(self.normalise_observations(batch))  # type: ignore[arg-type]
        layers, outputs, values = forward(x, self._get_weight_views(), self.layout)
        return Trace(x, layers), outputs, values

    def backpropagate(self, trace: Trace, by_outputs: Array, by_values: Array) -> Array:
        """Return the gradient of the flat parameter, given those of outputs and values."""
        gradient = np.empty(self.layout.size, np.float32)
        backward(
            trace.x,
            trace.layers,
            self._get_weight_views(),
            (by_outputs, by_values[:, None]),
            self.layout.split_weights(gradient),
            self.layout,
        )
        return gradient

    def _get_weight_views(self) -> dict[str, Any]:
        """Return views of the flat parameter, renewed when it has moved (to a GPU, in a copy)."""
        if self._viewed != self.flat.data_ptr():
            self._viewed = self.flat.data_ptr()
            self._views = self.layout.split_weights(to_native_array(self.flat))
        return self._views

    def compute_network_metrics(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the fraction of hidden units with the same saturated output for every row."""
        x = self.flatten(self.normalise_observations(batch)).numpy(force=True)
        weights = self.layout.split_weights(self.flat.numpy(force=True))
        layers, _, _ = forward(x, weights, self.layout)
        return {"dead_unit_fraction": dead_unit_fraction(layers, self.layout.activation)}

    def get_policy_gradients(self) -> dict[str, Tensor]:
        """Return the policy trunk's parts of the gradient of the flat vector."""
        gradient = self.flat.grad
        return {} if gradient is None else self.layout.split_trunk_weights(gradient, "policy")

    def get_named_weights(self) -> dict[str, Tensor]:
        """Return each weight under its own name instead of the flat vector."""
        weights = super().get_named_weights()
        return self.layout.split_weights(weights.pop("flat")) | weights
