"""Actions drawn with numpy from noise that was drawn for many steps at once.

``ActionDistribution.sample`` prepares all that a loss may ask of a distribution and draws its noise
step by step; of a decision of a small network that is most of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch

from algos.actions.action_heads import BoxHead, ChoiceWithValueHead, DiscreteHead, MultiDiscreteHead
from algos.actions.closed_form import NO_SPREAD, Array, forbid
from algos.actions.distributions import LOG_STD_LIMITS

BLOCK_STEPS = 128
"""Steps whose noise is drawn at once; the rest of a rollout that ends early is wasted."""


class Noise(NamedTuple):
    """Noise of one step, or the numbers of each kind that an action takes."""

    gumbel: Any
    """For choices ``[B, G]``: the highest sum of logit and Gumbel noise is a draw."""
    normal: Any
    """For values ``[B, D]``."""


def count_noise(head: Any) -> Noise:
    """Return how many numbers of each kind an action of this head takes."""
    if isinstance(head, BoxHead):
        return Noise(0, head.size)
    if isinstance(head, DiscreteHead | MultiDiscreteHead):
        return Noise(head.size, 0)
    if isinstance(head, ChoiceWithValueHead):  # a choice, then a point of its grid
        return Noise(head.choices + head.per_choice - 1, 0)
    parts = [count_noise(part) for part in head.parts.values()]
    return Noise(sum(part.gumbel for part in parts), sum(part.normal for part in parts))


class ActionDrawer:
    """Draws the actions of B copies of an environment, for one rollout.

    Args:
        head: of a kind that has a closed form (``closed_form.has_closed_form``).
        copies: rows B.
        log_std: log standard deviations ``[L]`` of values.
        generator: of the noise.
    """

    def __init__(self, head: Any, copies: int, log_std: Array, generator: torch.Generator) -> None:
        self.head, self.copies, self.generator = head, copies, generator
        self.std = np.exp(np.clip(log_std, *LOG_STD_LIMITS))
        self.counts = count_noise(head)
        self._block = Noise(NO_SPREAD, NO_SPREAD)
        self._next = BLOCK_STEPS

    def draw(self, outputs: Array, mask: Array | None) -> dict[str, Array]:
        """Return action columns ``[B, ...]``, given outputs ``[B, size]`` and legal choices."""
        if self._next == BLOCK_STEPS:
            self._block, self._next = self._draw_block(), 0
        noise = Noise(*(kind[self._next] for kind in self._block))
        self._next += 1
        return draw_actions(self.head, outputs, noise, self.std, mask)

    def _draw_block(self) -> Noise:
        shape = BLOCK_STEPS, self.copies
        gumbel = torch.empty(*shape, self.counts.gumbel).exponential_(generator=self.generator)
        normal = torch.empty(*shape, self.counts.normal).normal_(generator=self.generator)
        return Noise(-gumbel.log_().numpy(), normal.numpy())


def draw_actions(
    head: Any, outputs: Array, noise: Noise, std: Array, mask: Array | None = None
) -> dict[str, Array]:
    """Return action columns ``[B, ...]`` by the network's outputs ``[B, size]`` and noise.

    Args:
        head: see :class:`ActionDrawer`.
        outputs: the network's.
        noise: as many numbers for each row as :func:`count_noise` says.
        std: standard deviations ``[L]`` of values.
        mask: legal choices ``[B, mask_size]``.
    """
    if isinstance(head, BoxHead):
        return {"value": outputs + std * noise.normal}
    if isinstance(head, DiscreteHead):
        return {"choice": (forbid(outputs, mask) + noise.gumbel).argmax(-1)}
    if isinstance(head, MultiDiscreteHead):
        ends = np.cumsum(head.sizes)[:-1]
        raced = np.split(forbid(outputs, mask) + noise.gumbel, ends, -1)
        return {"choices": np.stack([part.argmax(-1) for part in raced], -1)}
    if isinstance(head, ChoiceWithValueHead):
        each = outputs.reshape(len(outputs), -1, head.per_choice)
        first, second = np.split(noise.gumbel, [each.shape[1]], -1)
        choice = (forbid(each[..., 0], mask) + first).argmax(-1)
        place = (each[np.arange(len(each)), choice, 1:] + second).argmax(-1)
        return {"choice": choice, "value": _make_grid(head.per_choice - 1)[place]}
    return _draw_parts(head.parts, outputs, noise, std)


def _draw_parts(
    parts: Mapping[str, Any], outputs: Array, noise: Noise, std: Array
) -> dict[str, Array]:
    """Return the columns of independent parts, whose outputs and noise lie side by side."""
    counts = [count_noise(part) for part in parts.values()]
    own = zip(
        _split(outputs, [part.size for part in parts.values()]),
        _split(noise.gumbel, [count.gumbel for count in counts]),
        _split(noise.normal, [count.normal for count in counts]),
        _split(std, [part.num_log_stds for part in parts.values()]),
        strict=True,
    )
    return {
        f"{name}.{column}": values
        for (name, part), (numbers, gumbel, normal, spread) in zip(parts.items(), own, strict=True)
        for column, values in draw_actions(part, numbers, Noise(gumbel, normal), spread).items()
    }


@lru_cache
def _make_grid(points: int) -> Array:
    return np.linspace(-1, 1, points, dtype=np.float32)


def _split(x: Array, sizes: list[int]) -> list[Array]:
    """Cut the last axis into parts of these sizes."""
    return np.split(x, list(accumulate(sizes))[:-1], -1)
