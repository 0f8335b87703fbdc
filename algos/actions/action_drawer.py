"""Actions drawn with NumPy from noise that was drawn for many steps at once.

``ActionDistribution.sample`` prepares all that a loss may ask of a distribution and draws its noise
step by step; of a decision of a small network that is most of the time.
"""

from __future__ import annotations

import numpy as np
import torch

from algos.actions.head import ActionHead
from algos.actions.numpy_actions import NO_SPREAD, Array, Noise
from algos.actions.values import LOG_STD_LIMITS

BLOCK_STEPS = 128
"""Steps whose noise is drawn at once; the rest of a rollout that ends early is wasted."""


class ActionDrawer:
    """Draws the actions of B copies of an environment, for one rollout.

    Args:
        head: of the actions, which is ``on_numpy``.
        copies: rows B.
        log_std: log standard deviations ``[L]`` of values.
        generator: of the noise.
    """

    def __init__(
        self, head: ActionHead, copies: int, log_std: Array, generator: torch.Generator
    ) -> None:
        self.head, self.copies, self.generator = head, copies, generator
        self.std = np.exp(np.clip(log_std, *LOG_STD_LIMITS))
        self.counts = head.count_noise()
        self._block = Noise(NO_SPREAD, NO_SPREAD)
        self._next = BLOCK_STEPS

    def draw(self, outputs: Array, mask: Array | None) -> dict[str, Array]:
        """Return action columns ``[B, ...]``, given outputs ``[B, size]`` and legal choices."""
        if self._next == BLOCK_STEPS:
            self._block, self._next = self._draw_block(), 0
        noise = Noise(*(kind[self._next] for kind in self._block))
        self._next += 1
        return self.head.draw(outputs, noise, self.std, mask)

    def _draw_block(self) -> Noise:
        shape = BLOCK_STEPS, self.copies
        gumbel = torch.empty(*shape, self.counts.gumbel).exponential_(generator=self.generator)
        normal = torch.empty(*shape, self.counts.normal).normal_(generator=self.generator)
        return Noise(-gumbel.log_().numpy(), normal.numpy())
