"""What a policy is pulled towards: pure functions of tensors.

Letters: N rows of a minibatch. Each function returns per-row losses ``[N]`` unless it says
otherwise, so that a caller decides how to weigh rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, mse_loss

from algos.actions.array_backend import get_array_module, to_native_array


def sum_loss_terms(terms: Mapping[str, Tensor]) -> Tensor:
    """Terms of a loss, each per row [N] or a scalar -> the scalar that is minimised."""
    return reduce(add, terms.values()).mean()


def compute_logps_and_advantages(
    dist: Any, batch: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """A policy and rows of a minibatch -> logp, logp_old, advantages, [N] each or [N, R].

    Where an action is a choice in each of R rows of a graph, each has a ratio of its own: their
    product leaves any clip within an update, as a whole text's does. Its advantage is its own, too,
    where rewards are means over rows (``Rollout.compute_row_advantages``), and else that of the
    action.
    """
    if "row_logp" not in batch:
        return dist.logp(batch), batch["logp"], batch["advantages"]
    advantages = batch.get("row_advantages")
    if advantages is None:
        advantages = batch["advantages"][:, None]
    return dist.row_logp(batch), batch["row_logp"], advantages


def average_over_rows(loss: Tensor) -> Tensor:
    """A loss [N], or [N, R] of rows -> [N], rows averaged."""
    return loss.mean(-1) if loss.ndim > 1 else loss


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
        advantages = to_native_array(advantages)
        lib = get_array_module(advantages)
        free = lib.exp(to_native_array(logp) - to_native_array(logp_old)) * advantages
        held = advantages + clip * abs(advantages)  # the most that the clip lets an advantage earn
        # The derivative of r A by logp is r A itself, and zero where the clip holds. NaN is in
        # neither order and must stay NaN, or a broken advantage would pass for a settled policy.
        ctx.slope = torch.as_tensor(lib.where(free > held, 0, free))
        return torch.as_tensor(-lib.minimum(free, held))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return -ctx.slope * gradients[0], None, None, None


def clip_fraction(logp: Tensor, logp_old: Tensor, clip: float) -> Tensor:
    """logp, logp_old [N] -> share of rows whose probability ratio has left [1 - clip, 1 + clip]."""
    return (((logp - logp_old).exp() - 1).abs() > clip).float().mean()


def value_error(values: Tensor, returns: Tensor) -> Tensor:
    """Return the squared errors [N] of values [N] against returns [N]: ``(V - R)^2``."""
    return mse_loss(values, returns, reduction="none")


def kl_estimate(logp: Tensor, logp_old: Tensor) -> Tensor:
    """logp, logp_old [N] -> estimate [N] of KL(old || new) from actions drawn from old.

    Schulman's k3, ``(r - 1) - log r``: unbiased, never negative, and with a gradient, for every
    distribution that has a log-probability. GRPO's ``KL(new || reference)`` (Shao et al. 2024,
    eq. 4), from actions drawn from new, is ``kl_estimate(reference_logp, logp)``: its gradient
    flows through the second argument.
    """
    log_ratio = logp - logp_old
    return log_ratio.exp() - 1 - log_ratio


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    beta: float,
) -> Tensor:
    """Log-probabilities [N] of N pairs, by the policy and the reference -> loss [N].

    ``-log sigmoid(beta ((chosen - reference_chosen) - (rejected - reference_rejected)))``
    (Rafailov et al. 2023, eq. 7): how surprising the preference is to a policy whose implied
    reward is ``beta log(policy / reference)``.
    """
    margin = (chosen - reference_chosen) - (rejected - reference_rejected)
    return -logsigmoid(beta * margin)


def astar_regression(
    logp: Tensor, reference_logp: Tensor, advantages: Tensor, beta: float
) -> Tensor:
    """logp, reference_logp, advantages [N] -> loss [N] (A*-PO, Brantley et al. 2025, stage 2).

    ``(beta (logp - reference_logp) - (R - V*))^2`` with ``advantages = R - V*``: 0 everywhere only
    for the optimum of ``E R - beta KL(policy || reference)``, which is
    ``reference exp((R - V*) / beta)``, no matter which policy the rows were drawn from.
    """
    return (beta * (logp - reference_logp) - advantages) ** 2
