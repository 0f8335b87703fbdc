"""Encoder of vectors and tables of numbers: one layer of a perceptron."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from torch import Tensor, nn

from algos.models.base import initialise_linear
from algos.models.encoders.encoder import Encoder


class VectorEncoder(Encoder):
    """One layer over the flattened numbers.

    One, because the layers of ``hidden`` follow: it only gives a vector of a few numbers as many
    features, of the same scale, as another part that is an image.
    """

    def __init__(self, space: spaces.Space[Any], width: int, activation: str) -> None:
        super().__init__()
        self.size, self.inputs = width, int(spaces.flatdim(space))
        self.layer = initialise_linear(nn.Linear(self.inputs, width), 2**0.5)
        self.activation = nn.Tanh() if activation == "tanh" else nn.ReLU()

    def forward(self, column: Tensor) -> Tensor:
        """Return the features [N, size] of vectors [N, ...]."""
        return self.activation(self.layer(column.reshape(-1, self.inputs).float()))

    def describe(self) -> str:
        """Describe the layer."""
        return f"a layer over {self.inputs} numbers: {self.size} features"
