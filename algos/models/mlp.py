"""Two perceptrons over the flattened observation: one for the policy, one for the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from algos.actions.action_heads import DiscreteHead
from algos.actions.array_backend import to_native_array
from algos.models.base import ObservationFlattener, PolicyModule
from algos.models.fused_mlp import Layout, dead_unit_fraction, forward, twin_mlp


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
        return twin_mlp(self.flatten(batch), self.flat, self._get_weight_views(), self.layout)

    def _get_weight_views(self) -> dict[str, Any]:
        """Return views of the flat parameter, renewed when it has moved (to a GPU, in a copy)."""
        if self._viewed != self.flat.data_ptr():
            self._viewed = self.flat.data_ptr()
            self._views = self.layout.split_weights(to_native_array(self.flat))
        return self._views

    def compute_network_metrics(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the fraction of hidden units with the same saturated output for every row."""
        x = self.flatten(self.normalise_observations(batch))
        layers, _, _ = forward(to_native_array(x), self._get_weight_views(), self.layout)
        return {"dead_unit_fraction": dead_unit_fraction(layers, self.layout.activation)}

    def get_policy_gradients(self) -> dict[str, Tensor]:
        """Return the policy trunk's parts of the gradient of the flat vector."""
        gradient = self.flat.grad
        return {} if gradient is None else self.layout.split_policy_weights(gradient)

    def get_named_weights(self) -> dict[str, Tensor]:
        """Return each weight under its own name instead of the flat vector."""
        weights = super().get_named_weights()
        return self.layout.split_weights(weights.pop("flat")) | weights
