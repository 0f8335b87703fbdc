"""What a policy is pulled towards: pure functions of tensors.

Letters: N rows of a minibatch. Each function returns per-row losses ``[N]`` unless it says
otherwise, so that a caller decides how to weigh rows.
"""

from __future__ import annotations

import torch
from torch import Tensor


def clipped_surrogate(logp: Tensor, logp_old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """logp, logp_old, advantages [N] -> loss [N] (Schulman et al. 2017, eq. 7, negated).

    ``-min(r A, clip(r, 1 - c, 1 + c) A)`` with ``r = exp(logp - logp_old)``: no reward for moving
    the ratio further than c in the direction the advantage points to.
    """
    ratio = (logp - logp_old).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def value_loss(values: Tensor, returns: Tensor, old_values: Tensor, clip: float) -> Tensor:
    """values, returns, old_values [N] -> half squared error [N].

    With ``clip > 0`` the larger of the plain error and that of the value moved by at most ``clip``
    from the old one (Engstrom et al. 2020, section 3); 0 means not clipped.
    """
    error = (values - returns) ** 2
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
