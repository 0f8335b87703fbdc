"""Encoder of discrete parts: one-hot vectors, and embeddings of large sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from algos.models.encoders.encoder import Encoder

LARGEST_ONE_HOT = 64
"""Categories above which a number is looked up in a table of weights instead: a one-hot vector of
thousands is read as slowly as it is long."""
EMBEDDING_SIZE = 64
"""Features of each looked-up number."""


class DiscreteEncoder(Encoder):
    """Each number as one-hot, or embedded where it has many values."""

    def __init__(self, space: spaces.Discrete | spaces.MultiDiscrete) -> None:
        super().__init__()
        sizes: Any = space.n if isinstance(space, spaces.Discrete) else space.nvec
        self.categories = [int(n) for n in np.asarray(sizes).flatten()]
        # No buffer: it belongs to the space, and no checkpoint must hold it.
        self.start = np.broadcast_to(np.asarray(space.start), np.shape(sizes)).flatten()
        self.tables = nn.ModuleList(
            nn.Embedding(n, EMBEDDING_SIZE) for n in self.categories if n > LARGEST_ONE_HOT
        )
        self.size = sum(n if n <= LARGEST_ONE_HOT else EMBEDDING_SIZE for n in self.categories)

    def forward(self, column: Tensor) -> Tensor:
        """Return the features [N, size] of whole numbers [N, ...]."""
        start = torch.as_tensor(self.start, device=column.device)
        numbers = (column.reshape(-1, len(self.categories)).long() - start).unbind(-1)
        tables = iter(self.tables)
        return torch.cat(
            [
                next(tables)(number)
                if n > LARGEST_ONE_HOT
                else nn.functional.one_hot(number, n).float()
                for number, n in zip(numbers, self.categories, strict=True)
            ],
            -1,
        )

    def describe(self) -> str:
        """Describe how many numbers are read in which way."""
        embedded = len(self.tables)
        hot = len(self.categories) - embedded
        ways = [
            f"{hot} one-hot number{'s' * (hot > 1)}" if hot else "",
            f"{embedded} embedded number{'s' * (embedded > 1)}" if embedded else "",
        ]
        return f"{' and '.join(filter(None, ways))}: {self.size} features"
