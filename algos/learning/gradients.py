"""Gradients of an update: clipping, optimiser steps, and what is reported about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from algos.learning.optimisers import step_adam


class TrainedParts(NamedTuple):
    """The network that an update trains, and how it is trained."""

    forward: Callable[[Mapping[str, Any]], dict[str, Any]]
    """The network: its inputs -> its output."""
    params: list[torch.nn.Parameter]
    """The parameters that are trained."""
    optimisers: list[Any]
    """Apply the gradients to the parameters."""
    on_numpy: bool
    """Whether gradients come from ``quick_gradients.py`` where autograd's graph is not needed."""


def step_optimisers(trained: TrainedParts, grad_clip: float) -> float:
    """Step along the gradients in the parameters and clear them; return their norm."""
    norm = _clip_gradients([p.grad for p in trained.params if p.grad is not None], grad_clip)
    # A step on NaN would ruin the network; a health rule ends the run.
    for optimiser in trained.optimisers if math.isfinite(norm) else ():
        if trained.on_numpy and isinstance(optimiser, torch.optim.Adam):
            step_adam(optimiser)
        else:
            optimiser.step()
    for p in trained.params:
        p.grad = None
    return norm


def average_gradients(
    params: Iterable[torch.nn.Parameter], average: Callable[[Tensor], Tensor]
) -> None:
    """Replace gradients by their means over all learners, which have the same ones."""
    grads = [p.grad for p in params if p.grad is not None]
    means = average(torch.cat([grad.flatten() for grad in grads]))
    for grad, mean in zip(grads, means.split([g.numel() for g in grads]), strict=True):
        grad.copy_(mean.view_as(grad))


@contextmanager
def set_gradients_aside(params: list[torch.nn.Parameter]) -> Generator[None]:
    """Begin with no gradients in the parameters; at the end add those of before."""
    gradients = [p.grad for p in params]
    for p in params:
        p.grad = None
    yield
    for p, gradient in zip(params, gradients, strict=True):
        if gradient is not None:
            p.grad = gradient if p.grad is None else p.grad.add_(gradient)


def compute_term_grad_norms(
    terms: dict[str, Tensor], params: list[torch.nn.Parameter]
) -> dict[str, float]:
    """Return the gradient norm of each loss term; 0 for one detached from the network."""
    norms = dict.fromkeys(terms, 0.0)
    for name, term in terms.items():
        if term.requires_grad:
            # The training step still needs the graph, and not every term uses every
            # parameter.
            gradients: Any = torch.autograd.grad(
                term.mean(), params, retain_graph=True, allow_unused=True
            )
            parts = [
                torch.linalg.vector_norm(gradient) for gradient in gradients if gradient is not None
            ]
            norms[name] = float(torch.linalg.vector_norm(torch.stack(parts)))
    return {f"grad_norm_{name}": norm for name, norm in norms.items()}


def compute_update_ratio(initial_params: list[Tensor], params: list[torch.nn.Parameter]) -> float:
    """Return the distance that the parameters moved, over their norm."""
    distances = [
        torch.linalg.vector_norm(p.detach() - b)
        for p, b in zip(params, initial_params, strict=True)
    ]
    size = torch.linalg.vector_norm(
        torch.stack([torch.linalg.vector_norm(b) for b in initial_params])
    )
    return float(torch.linalg.vector_norm(torch.stack(distances)) / size.clamp_min(1e-12))


def _clip_gradients(gradients: list[Tensor], limit: float) -> float:
    """Scale gradients in place to a norm of at most ``limit`` (0: any); their norm before that.

    As ``torch.nn.utils.clip_grad_norm_``, which takes several times longer over one flat gradient.
    """
    scaled: list[Any] = gradients
    if all(gradient.device.type == "cpu" for gradient in gradients):
        scaled = [gradient.numpy() for gradient in gradients]
        norm = math.sqrt(sum(float(np.vdot(part, part)) for part in scaled))
    else:  # one transfer, however many there are
        norms = [torch.linalg.vector_norm(gradient) for gradient in gradients]
        norm = float(torch.linalg.vector_norm(torch.stack(norms)))
    if limit and norm > limit and math.isfinite(norm):
        for part in scaled:
            part *= limit / (norm + 1e-6)
    return norm
