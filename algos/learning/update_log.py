"""What one update did: gathered minibatch by minibatch, then summed up as metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from algos.losses import over_choices, sum_loss_terms
from algos.objective import Loss

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

    def summarise(self, grad_clip: float, average: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the update's metrics by the names in ``metrics.py``.

        Args:
            grad_clip: the limit of the gradient norm, 0 for none.
            average: mean over all learners; every learner calls it in the same order.
        """
        # One stacked table: a transfer for each metric of each minibatch would stall a GPU.
        table = torch.stack([torch.stack(list(measured.values())) for measured in self.metrics])
        means = dict(zip(self.metrics[0], average(table.mean(0)).tolist(), strict=True))
        return (
            over_choices(means)
            | summarise_grad_norms(self.grad_norms, grad_clip)
            | {
                "kl_max": max((float(m["kl"]) for m in self.metrics if "kl" in m), default=0.0),
                "grad_clip": grad_clip,
                "updates": float(len(self.grad_norms)),
                "epochs_run": float(self.epochs),
                SKIPPED_UPDATES: float(sum(not math.isfinite(norm) for norm in self.grad_norms)),
            }
        )


@torch.no_grad()
def measure_loss(loss: Loss) -> dict[str, Tensor]:
    """Return the objective's metrics of a minibatch, and what was minimised."""
    return loss.measure() | {"total_loss": sum_loss_terms(loss.terms)}


def summarise_grad_norms(norms: list[float], grad_clip: float) -> dict[str, float]:
    """Return mean and largest of the gradient norms, and the fraction that was clipped."""
    clipped = sum(norm > grad_clip for norm in norms) / len(norms) if grad_clip else 0.0
    return {
        "grad_norm": sum(norms) / len(norms),
        "grad_norm_max": max(norms),
        "grad_clip_fraction": clipped,
    }
