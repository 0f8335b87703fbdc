"""Policy, value, KL and preference losses: pure functions of tensors.

Letters: N rows of a minibatch, R rows of a graph that one action chooses in. Each function returns
per-row losses ``[N]`` unless it says otherwise, so that the caller decides how to weigh rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, mse_loss

from algos.actions.array_backend import Array
from algos.losses.loss_expressions import differentiable


def sum_loss_terms(terms: Mapping[str, Tensor]) -> Tensor:
    """Return the scalar that is minimised, from terms that are per row [N] or scalars.

    >>> import torch
    >>> sum_loss_terms({"policy": torch.tensor([1.0, 3.0]), "entropy": torch.tensor(-0.5)})
    tensor(1.5000)
    """
    # A scalar broadcasts over the rows, and the mean leaves it as it was.
    return reduce(add, terms.values()).mean()


def compute_logps_and_advantages(
    dist: Any, batch: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logp, logp_old and advantages of a minibatch, each [N] or [N, R].

    Where an action is a choice in each of R rows of a graph, each row has its own probability
    ratio: the ratio of the whole action leaves any clip range within one update. Each row has its
    own advantage where the reward is a mean over rows (``Rollout.compute_row_advantages``), else
    that of the action.
    """
    if "row_logp" not in batch:
        return dist.logp(batch), batch["logp"], batch["advantages"]
    advantages = batch.get("row_advantages")
    if advantages is None:
        # [N, 1] broadcasts over the R rows of each action.
        advantages = batch["advantages"][:, None]
    return dist.row_logp(batch), batch["row_logp"], advantages


def average_over_rows(loss: Tensor) -> Tensor:
    """Return a loss per action [N] from one per action [N] or per row [N, R]."""
    return loss.mean(-1) if loss.ndim > 1 else loss


def _clipped_surrogate_slope(logp: Array, logp_old: Array, advantages: Array, clip: float) -> Array:
    free = np.exp(logp - logp_old) * advantages
    # The clip only ever binds from above, at (1 + c) A for A > 0 and (1 - c) A for A < 0: below
    # its range r A is the smaller of the two anyway. A + c |A| is that bound for both signs. NaN is
    # in neither order and must stay NaN, or a broken advantage would pass for a settled policy.
    bound = advantages + clip * np.abs(advantages)
    return -np.where(free > bound, np.float32(0), free)


@differentiable(logp=_clipped_surrogate_slope)
def clipped_surrogate(logp: Tensor, logp_old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Return PPO's loss [N] (Schulman et al. 2017, eq. 7, negated).

    ``-min(r A, clip(r, 1 - c, 1 + c) A)`` with ``r = exp(logp - logp_old)``: no reward for moving
    the ratio further than c in the direction that the advantage points to.

    >>> import torch
    >>> logp, old = torch.tensor([1.5, 0.5, 1.5]).log(), torch.zeros(3)
    >>> clipped_surrogate(logp, old, torch.tensor([1.0, 1.0, -1.0]), clip=0.2)
    tensor([-1.2000, -0.5000,  1.5000])
    """
    ratio = (logp - logp_old).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def clip_fraction(logp: Tensor, logp_old: Tensor, clip: float) -> Tensor:
    """Return the fraction of rows whose probability ratio is outside of [1 - clip, 1 + clip]."""
    return (((logp - logp_old).exp() - 1).abs() > clip).float().mean()


@differentiable(values=lambda values, returns: 2 * (values - returns))
def value_error(values: Tensor, returns: Tensor) -> Tensor:
    """Return the squared errors [N] of values [N] against returns [N]: ``(V - R)^2``."""
    return mse_loss(values, returns, reduction="none")


@differentiable(
    logp=lambda logp, logp_old: np.exp(logp - logp_old) - 1,
    logp_old=lambda logp, logp_old: 1 - np.exp(logp - logp_old),
)
def kl_estimate(logp: Tensor, logp_old: Tensor) -> Tensor:
    """Return an estimate [N] of KL(old || new) from actions drawn from old.

    Schulman's k3, ``(r - 1) - log r``: unbiased, never negative, and with a gradient, for every
    distribution that has a log-probability. GRPO's ``KL(new || reference)`` (Shao et al. 2024,
    eq. 4), from actions drawn from new, is ``kl_estimate(reference_logp, logp)``: its gradient
    flows through the second argument.

    >>> import torch
    >>> kl_estimate(torch.tensor([2.0, 1.0]).log(), torch.zeros(2))
    tensor([0.3069, 0.0000])
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
    """Return the preference loss [N] of N pairs from the log-probabilities of both halves.

    ``-log sigmoid(beta ((chosen - reference_chosen) - (rejected - reference_rejected)))``
    (Rafailov et al. 2023, eq. 7): how surprising the preference is to a policy whose implied
    reward is ``beta log(policy / reference)``.

    >>> import torch
    >>> zero = torch.zeros(1)
    >>> dpo_loss(zero, zero, zero, zero, beta=0.1)  # no preference yet: log 2
    tensor([0.6931])
    """
    margin = (chosen - reference_chosen) - (rejected - reference_rejected)
    # log(sigmoid(..)) would be -inf for a margin far below 0.
    return -logsigmoid(beta * margin)


def astar_regression(
    logp: Tensor, reference_logp: Tensor, advantages: Tensor, beta: float
) -> Tensor:
    """Return the regression loss [N] of A*-PO (Brantley et al. 2025, stage 2).

    ``(beta (logp - reference_logp) - (R - V*))^2`` with ``advantages = R - V*``: 0 everywhere only
    for the optimum of ``E R - beta KL(policy || reference)``, which is
    ``reference exp((R - V*) / beta)``, no matter which policy the rows were drawn from.
    """
    return (beta * (logp - reference_logp) - advantages) ** 2
