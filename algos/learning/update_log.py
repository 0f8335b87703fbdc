"""Metrics of one update: gathered minibatch by minibatch, then summed up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from algos.losses import over_choices, sum_loss_terms
from algos.objective import Loss

MEASURED_MINIBATCHES = 4
"""Minibatches at the end of an update that are measured."""
SKIPPED_UPDATES = "updates_skipped"
"""Number of optimiser steps left out because the gradient was not finite."""


@dataclass
class UpdateLog:
    """The record of one update on one learner."""

    epochs: int = 0
    """Passes over the rows so far."""
    grad_norms: list[float] = field(default_factory=list[float])
    """Gradient norm of each optimiser step, before clipping."""
    metrics: list[dict[str, Tensor]] = field(default_factory=list[dict[str, Tensor]])
    """Loss and objective's metrics of each minibatch that was measured."""
    rows: list[int] = field(default_factory=list[int])
    """Rows of each of these minibatches."""

    def record(self, metrics: dict[str, Tensor], rows: int) -> None:
        """Add the metrics of a minibatch."""
        self.metrics.append(metrics)
        self.rows.append(rows)

    def summarise(self, grad_clip: float, total: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the update's metrics by the names in ``metrics.py``.

        Args:
            grad_clip: the limit of the gradient norm, 0 for none.
            total: sum over all learners; every learner calls it in the same order.
        """
        table, rows = average_over_learners(self.metrics, self.rows, total)
        # Weighted by rows: the last minibatch of an epoch may have half as many as the others.
        columns = (rows @ table / rows.sum()).tolist(), table.max(0).values.tolist()
        means, largest = (dict(zip(self.metrics[0], of, strict=True)) for of in columns)
        return (
            over_choices(means)
            | summarise_grad_norms(self.grad_norms, grad_clip)
            | {
                "kl_max": largest.get("kl", 0.0),
                "grad_clip": grad_clip,
                "updates": float(len(self.grad_norms)),
                "epochs_run": float(self.epochs),
                SKIPPED_UPDATES: float(sum(not math.isfinite(norm) for norm in self.grad_norms)),
            }
        )


@torch.no_grad()
def average_over_learners(
    metrics: Sequence[dict[str, Tensor]], rows: Sequence[int], total: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the metrics [M, metrics] of M minibatches over all learners, and their rows [M].

    Args:
        metrics: of this learner's part of each minibatch.
        rows: of this learner's part of each; those of others may differ, where sequences are dealt
            out whole.
        total: sum over all learners.
    """
    # One stacked table: a transfer for each metric of each minibatch would stall a GPU.
    table = torch.stack([torch.stack(list(measured.values())) for measured in metrics])
    weights = table.new_tensor(rows)[:, None]
    summed = total(torch.cat([table * weights, weights], 1))
    return summed[:, :-1] / summed[:, -1:], summed[:, -1]


@torch.no_grad()
def measure_loss(loss: Loss) -> dict[str, Tensor]:
    """Return the objective's metrics of a minibatch, and what was minimised."""
    kl = {"kl": loss.kl()} if loss.kl else {}
    return loss.measure() | kl | {"total_loss": sum_loss_terms(loss.terms)}


def summarise_grad_norms(norms: list[float], grad_clip: float) -> dict[str, float]:
    """Return mean and largest of the gradient norms, and the fraction that was clipped."""
    clipped = sum(norm > grad_clip for norm in norms) / len(norms) if grad_clip else 0.0
    return {
        "grad_norm": sum(norms) / len(norms),
        "grad_norm_max": max(norms),
        "grad_clip_fraction": clipped,
    }
