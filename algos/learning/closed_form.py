"""Gradients in closed form: those of autograd, in a third of its time, for small networks.

With a network of a few thousand weights on a CPU most of a minibatch's time is autograd's own. Here
the derivatives are written down: objectives state those of their loss by log-probability and value
(``Objective.compute_slopes``), ``actions/closed_form.py`` pulls them back to the network's outputs,
and ``models/fused_mlp.py`` to its weights. Everything else, and the diagnostics of single terms,
takes the plain path; both fill the same gradients, so that either can go on after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from algos.actions.array_backend import to_native_array
from algos.actions.closed_form import NO_SPREAD, score_actions
from algos.models.base import MASK
from algos.models.mlp import MLPPolicy
from algos.objective import Objective
from algos.rollouts.columns import Columns


def is_closed_form(network: Any, objective: Objective[Any]) -> bool:
    """Whether gradients of this objective and this network are written down."""
    return (
        isinstance(network, MLPPolicy)
        and network.is_closed_form
        and not objective.settings.diversity_coef
        and type(objective).compute_slopes is not Objective.compute_slopes
    )


def accumulate_gradients(
    network: MLPPolicy,
    objective: Objective[Any],
    batch: Columns,
    coefficients: Mapping[str, float],
    fraction: float,
) -> None:
    """Add the gradient of a minibatch's mean loss to the parameters.

    Args:
        network: the policy.
        objective: what is minimised.
        batch: the minibatch, numpy arrays.
        coefficients: weights that change during training.
        fraction: weight of this minibatch within its optimiser step.
    """
    steps = objective.build_network_inputs(batch)
    trace, outputs, values = network.trace(steps)
    free = network.log_std
    log_std = NO_SPREAD if free is None else to_native_array(free)
    scores = score_actions(network.head, outputs, steps, log_std, steps.get(MASK))
    slopes = objective.compute_slopes(scores.logp, values, batch, coefficients)
    by_logp = fraction * slopes.logp
    by_entropy = -fraction * coefficients["entropy_coef"] / len(values)
    by_outputs, by_log_std = scores.pull(by_logp, by_entropy)
    by_values = np.zeros_like(values) if slopes.value is None else fraction * slopes.value
    _add_gradient(network.flat, network.pull(trace, by_outputs, by_values))
    if free is not None and free.requires_grad:
        _add_gradient(free, by_log_std)


def _add_gradient(parameter: torch.nn.Parameter, gradient: Any) -> None:
    found = torch.from_numpy(gradient.astype(np.float32, copy=False))
    parameter.grad = found if parameter.grad is None else parameter.grad.add_(found)
