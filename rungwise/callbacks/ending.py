"""How a training is ended: out of its loop, and in all of its processes."""

from __future__ import annotations

import torch


class Doomed(Exception):
    """Leaves the loop of a library that has no other means; what has put it there catches it."""


def share_decision(stop: bool, device: torch.device | str) -> bool:
    """Return what the first process of a distributed training decides.

    A process that ended alone would leave the others waiting for its gradients.

    Args:
        stop: whether this process is for ending the training.
        device: that on which its processes exchange tensors.
    """
    decision = torch.tensor(float(stop), device=device)
    torch.distributed.broadcast(decision, src=0)
    return bool(decision)
