"""What a policy is pulled towards: pure functions of tensors.

Letters: N rows of a minibatch. Each function returns per-row losses ``[N]`` unless it says
otherwise, so that a caller decides how to weigh rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from algos.native import library, native


def clipped_surrogate(logp: Tensor, logp_old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """logp, logp_old, advantages [N] -> loss [N] (Schulman et al. 2017, eq. 7, negated).

    ``-min(r A, clip(r, 1 - c, 1 + c) A)`` with ``r = exp(logp - logp_old)``: no reward for moving
    the ratio further than c in the direction the advantage points to.
    """
    return _ClippedSurrogate.apply(logp, logp_old, advantages, clip)  # type: ignore[return-value]


class _ClippedSurrogate(torch.autograd.Function):
    """One node of the graph instead of seven; the tests hold it to the formula and its gradient."""

    @staticmethod
    def forward(
        ctx: Any, logp: Tensor, logp_old: Tensor, advantages: Tensor, clip: float
    ) -> Tensor:
        lib, advantages = library(native(logp)), native(advantages)
        ratio = lib.exp(native(logp) - native(logp_old))
        free = ratio * advantages
        held = ratio.clip(1 - clip, 1 + clip) * advantages
        # The derivative of r A by logp is r A itself, and zero where the clip holds. NaN is in
        # neither order and must stay NaN, or a broken advantage would pass for a settled policy.
        ctx.slope = torch.as_tensor(lib.where(free > held, 0, free))
        return torch.as_tensor(-lib.minimum(free, held))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return -ctx.slope * gradients[0], None, None, None


def value_loss(values: Tensor, returns: Tensor, old_values: Tensor, clip: float) -> Tensor:
    """values, returns, old_values [N] -> half squared error [N].

    With ``clip > 0`` the larger of the plain error and that of the value moved by at most ``clip``
    from the old one (Engstrom et al. 2020, section 3); 0 means not clipped.
    """
    error = mse_loss(values, returns, reduction="none")
    if clip > 0:
        near = old_values + (values - old_values).clamp(-clip, clip)
        error = torch.maximum(error, (near - returns) ** 2)
    return 0.5 * error


def kl_estimate(logp: Tensor, logp_old: Tensor) -> Tensor:
    """logp, logp_old [N] -> estimate [N] of KL(old || new) from actions drawn from old.

    Schulman's k3, ``(r - 1) - log r``: unbiased, never negative, and with a gradient, for every
    distribution that has a log-probability.
    """
    log_ratio = logp - logp_old
    return log_ratio.exp() - 1 - log_ratio
