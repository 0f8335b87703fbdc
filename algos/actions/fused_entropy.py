"""The entropy of a categorical distribution as one node of the graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from algos.actions.array_backend import get_array_module, to_native_array


def fused_entropy(logits: Tensor, log_probs: Tensor) -> Tensor:
    """Return the entropy [...] of logits [..., A], whose log-softmax is known already.

    Only ``logits`` receives a gradient; ``log_probs`` receives none.
    """
    return _Entropy.apply(logits, log_probs)  # type: ignore[return-value]


class _Entropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, log_probs: Tensor) -> Tensor:
        logs = to_native_array(log_probs)
        lib = get_array_module(logs)
        ctx.logs, ctx.p = logs, lib.exp(logs)
        # A matrix product per row: a product and a sum would allocate another [..., A] array.
        # A masked entry has p = 0 and a finite log p (ILLEGAL_LOGIT): it adds 0 and not
        # NaN.
        ctx.entropy = -lib.einsum("...a,...a->...", ctx.p, logs)
        return torch.as_tensor(ctx.entropy)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # The derivative by a logit is -p (log p + H), which skips the way back through the softmax.
        slope = ctx.logs + ctx.entropy[..., None]
        slope *= ctx.p
        slope *= -to_native_array(gradients[0])[..., None]
        return torch.as_tensor(slope), None
