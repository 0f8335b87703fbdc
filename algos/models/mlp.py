"""Two perceptrons over the flattened observation: one for the policy, one for the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from algos.heads import DiscreteHead
from algos.models.base import Flatten, PolicyModule
from algos.models.fused import Layout, dead_share, forward, twin_mlp
from algos.native import native


class MLP(PolicyModule):
    """Separate trunks, so that the scale of the value error cannot disturb the policy."""

    def build(self) -> None:
        """Create both trunks, whose weights are one flat parameter."""
        self.flatten = Flatten(self.columns)
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
        draws = isinstance(self.head, DiscreteHead) and self.temperature is None
        self.native = draws and self.flatten.plain
        self._views: dict[str, Any] = {}
        self._viewed = 0

    def outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :class:`PolicyModule`."""
        return twin_mlp(self.flatten(batch), self.flat, self._weights(), self.layout)

    def _weights(self) -> dict[str, Any]:
        """Views of the flat parameter, made anew only when it has moved (to a GPU, in a copy)."""
        if self._viewed != self.flat.data_ptr():
            self._viewed = self.flat.data_ptr()
            self._views = self.layout.views(native(self.flat))
        return self._views

    def condition(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """The share of hidden units that give the same saturated output for every row."""
        layers, _, _ = forward(native(self.flatten(batch)), self._weights(), self.layout)
        return {"dead_unit_share": dead_share(layers, self.layout.activation)}

    def named_weights(self) -> dict[str, Tensor]:
        """Each weight under its own name instead of the flat vector."""
        weights = super().named_weights()
        return self.layout.views(weights.pop("flat")) | weights
