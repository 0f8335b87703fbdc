"""Base of encoders: one part of an observation becomes features."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn


class Encoder(nn.Module):
    """Reads one observation column and returns features ``[N, size]``."""

    size: int
    """Number of features."""

    @abstractmethod
    def forward(self, column: Tensor) -> Tensor:
        """Return the features [N, size] of a column [N, ...]."""

    @abstractmethod
    def describe(self) -> str:
        """Describe in a few words how the part is read."""
