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
    def forward(logits: Tensor, log_probs: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        logs = to_native_array(log_probs)
        lib = get_array_module(logs)
        # A matrix product per row: a product and a sum would allocate another [..., A] array.
        # A masked entry has p = 0 and a finite log p (ILLEGAL_LOGIT): it adds 0 and not
        # NaN.
        return torch.as_tensor(-lib.einsum("...a,...a->...", lib.exp(logs), logs))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1], output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # The derivative by a logit is -p (log p + H), which skips the way back through the softmax.
        logs, entropy = map(to_native_array, ctx.saved_tensors)
        slope = logs + entropy[..., None]
        slope *= get_array_module(logs).exp(logs)
        slope *= -to_native_array(gradients[0])[..., None]
        return torch.as_tensor(slope), None

    @staticmethod
    def vmap(  # pyright: ignore[reportIncompatibleMethodOverride]
        info: Any, in_dims: tuple[int, int], logits: Tensor, log_probs: Tensor
    ) -> tuple[Tensor, int]:
        # It computes with any number of axes in front: those of several trials are one more.
        return fused_entropy(logits.movedim(in_dims[0], 0), log_probs.movedim(in_dims[1], 0)), 0
