"""Losses of the hot path as single nodes of the graph, with hand-written backward passes.

On a CPU a minibatch of a small network spends most of its time in the overhead of torch calls. A
fused node computes the formula of ``losses.py`` with numpy there and with torch on a GPU
(``actions/array_backend.py``). The tests compare value and gradient with the formula.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from algos.actions.array_backend import Array, get_array_module, to_native_array


def fused_clipped_surrogate(
    logp: Tensor, logp_old: Tensor, advantages: Tensor, clip: float
) -> Tensor:
    """Return ``losses.clipped_surrogate`` [N] (or [N, R]) as one node instead of seven.

    Only ``logp`` receives a gradient; ``logp_old`` and ``advantages`` receive none, even if they
    require one.
    """
    return _ClippedSurrogate.apply(logp, logp_old, advantages, clip)  # type: ignore[return-value]


def clipped_surrogate_and_slope(
    logp: Array, logp_old: Array, advantages: Array, clip: float
) -> tuple[Array, Array]:
    """Return ``losses.clipped_surrogate`` [N] (or [N, R]) and its derivative by ``logp``."""
    lib = get_array_module(advantages)
    free = lib.exp(logp - logp_old) * advantages
    # The clip only ever binds from above, at (1 + c) A for A > 0 and (1 - c) A for A < 0: below
    # its range r A is the smaller of the two anyway. A + c |A| is that bound for both signs.
    held = advantages + clip * abs(advantages)
    # The derivative of r A by logp is r A itself, and zero where the clip holds. NaN is in
    # neither order and must stay NaN, or a broken advantage would pass for a settled policy.
    return -lib.minimum(free, held), -lib.where(free > held, 0, free)


class _ClippedSurrogate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logp: Tensor, logp_old: Tensor, advantages: Tensor, clip: float
    ) -> Tensor:
        now, old, gains = map(to_native_array, (logp, logp_old, advantages))
        surrogate, slope = clipped_surrogate_and_slope(now, old, gains, clip)
        ctx.slope = torch.as_tensor(slope)
        return torch.as_tensor(surrogate)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.slope * gradients[0], None, None, None
