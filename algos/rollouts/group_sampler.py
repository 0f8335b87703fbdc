"""Which starts a runner's groups of episodes have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, Any]

TRAINING_SEED = 2**30
"""Training seeds lie at or above this and evaluation seeds below, so that the two never meet."""


@dataclass(frozen=True)
class GroupSampler:
    """Chooses the seed of each copy's episode; neighbouring copies form a group.

    Attributes:
        fixed_starts: number of starts in all; 0: each iteration draws new ones.
    """

    fixed_starts: int

    def choose_seeds(
        self,
        copies: int,
        group_size: int,
        generator: torch.Generator,
        worker_index: int,
        starts: Array | None = None,
    ) -> Array:
        """Return a seed for each copy [B], the same within a group.

        Args:
            copies: B, a multiple of the group size.
            group_size: episodes from each start (G).
            generator: draws the starts, unless they are given.
            worker_index: 0 for the driver's own runner, else 1 for the first remote one.
            starts: seeds ``[S]`` to choose from; each runner takes its own share of them, from
                the front again when there are too few.
        """
        count = copies // group_size
        if starts is None:
            chosen = self.draw_starts(count, generator)
        else:
            # Remote runners count from 1: runner w takes the w-th share. Wrapping keeps
            # every group full where the list is shorter than the copies of all runners.
            first = max(worker_index - 1, 0) * count
            chosen = np.take(starts, np.arange(first, first + count), mode="wrap")
        # Copies of one group are neighbours: the objectives recover groups by reshape(-1,
        # group_size).
        return np.repeat(chosen, group_size)

    def draw_starts(self, count: int, generator: torch.Generator) -> Array:
        """Return the seeds [count] of an iteration's starts."""
        if not self.fixed_starts:
            drawn = torch.randint(TRAINING_SEED, (count,), generator=generator).numpy()
        else:
            # A permutation, so that no start comes twice before every other has come
            # once; resize repeats it where there are more groups than starts.
            drawn = torch.randperm(self.fixed_starts, generator=generator).numpy()
            drawn = np.resize(drawn, count)
        return TRAINING_SEED + drawn
