"""Gradients in closed form: those of autograd, in a third of its time, for small networks.

With a network of a few thousand weights on a CPU most of a minibatch's time is autograd's own. Here
the derivatives are written down: objectives state those of their loss by log-probability and value
(``Objective.compute_slopes``), ``actions/closed_form.py`` pulls them back to the network's outputs,
and ``models/fused_mlp.py`` to its weights. Everything else, and the diagnostics of single terms,
takes the plain path; both fill the same gradients, so that either can go on after the other.

Two things keep the written derivatives those of the loss: they are used only where the class that
defines the loss defines them as well, and the learner compares both gradients of a minibatch now
and then (:class:`SlopesCheck`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from algos.actions.array_backend import Array, to_native_array
from algos.actions.closed_form import NO_SPREAD, score_actions
from algos.models.base import MASK
from algos.models.mlp import MLPPolicy, Trace
from algos.objective import Objective
from algos.rollouts.columns import Columns
from envs.validation import InputError

TOLERANCE = 1e-3
"""Relative difference of two gradients above which they are not the same. In thousands of random
cases float32 made at most a ninth of it."""
ROUNDING = 1e-5
"""Rounding errors of a gradient, in units of what the same rows give without cancelling out."""


def is_closed_form(network: Any, objective: Objective[Any]) -> bool:
    """Whether gradients of this objective and this network are written down."""
    return (
        isinstance(network, MLPPolicy)
        and network.is_closed_form
        and not objective.settings.diversity_coef
        and has_own_slopes(type(objective))
    )


def has_own_slopes(objective: type[Objective[Any]]) -> bool:
    """Whether loss and derivatives were written together: a subclass may change one of them."""
    defining = [
        next(base for base in objective.__mro__ if name in vars(base))
        for name in ("loss", "compute_slopes")
    ]
    return defining[0] is defining[1] is not Objective


class _Upstream(NamedTuple):
    """Derivatives of a minibatch's mean loss by what the network gives, and its forward pass."""

    trace: Trace
    outputs: Array
    """By the policy's outputs ``[N, size]``."""
    log_std: Array
    """By the log standard deviations ``[L]``."""
    values: Array
    """By the values ``[N]``."""
    row_sizes: Array
    """Sizes ``[N]`` of the derivatives by log-probability and entropy, of which those by the
    outputs may be small differences."""


def _compute_upstream(
    network: MLPPolicy,
    objective: Objective[Any],
    batch: Columns,
    coefficients: Mapping[str, float],
    fraction: float,
) -> _Upstream:
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
    sizes = np.abs(by_logp) + abs(by_entropy)
    return _Upstream(trace, by_outputs, by_log_std, by_values, sizes)


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
    upstream = _compute_upstream(network, objective, batch, coefficients, fraction)
    _add_gradient(network.flat, network.pull(upstream.trace, upstream.outputs, upstream.values))
    free = network.log_std
    if free is not None and free.requires_grad:
        _add_gradient(free, upstream.log_std)


class SlopesCheck:
    """Compares written derivatives with autograd's during training.

    A single difference may be chance, where a ratio lies at the edge of the clip range to within
    rounding; two minibatches in a row are not.
    """

    def __init__(self) -> None:
        self.differs = False
        """Whether the last minibatch differed: the next one has to be compared as well."""

    def compare(
        self,
        network: MLPPolicy,
        objective: Objective[Any],
        batch: Columns,
        coefficients: Mapping[str, float],
        fraction: float,
    ) -> None:
        """Compare with the gradients in the parameters, which are autograd's of this minibatch.

        Raises:
            InputError: those of two minibatches in a row are not the derivatives of the loss.
        """
        upstream = _compute_upstream(network, objective, batch, coefficients, fraction)
        distance = max(_measure_distances(network, upstream), default=0.0)
        before, self.differs = self.differs, distance > TOLERANCE
        if before and self.differs:
            owner = type(objective)
            raise InputError(
                f"compute_slopes of {owner.__module__}.{owner.__qualname__} does not state the "
                f"derivatives of its loss: the gradient differs from autograd's by {distance:.1%}. "
                "Change both together, or delete compute_slopes: autograd then differentiates the "
                "loss."
            )


def _measure_distances(network: MLPPolicy, upstream: _Upstream) -> list[float]:
    """Return how far the gradients are from those in the parameters, relative to their size.

    Policy and critic count together and the policy by itself: large returns would hide a difference
    of the policy. NaN and infinite gradients are left out; the learner reports them.
    """
    trace, outputs, by_log_std, values, sizes = upstream
    found = network.pull(trace, outputs, values)
    # The gradient of derivatives that cannot cancel out, as the true ones of a settled policy do
    # until only rounding is left.
    scale = network.pull(trace, np.maximum(np.abs(outputs), sizes[:, None]), np.abs(values))
    own = network.flat.grad
    expected = np.zeros_like(found) if own is None else to_native_array(own)
    triples = [(found, expected, scale)]
    split = [network.layout.split_policy_weights(part) for part in triples[0]]
    found, expected, scale = (np.concatenate([w.ravel() for w in p.values()]) for p in split)
    triples.append((found, expected, scale))
    free = network.log_std
    if free is not None and free.grad is not None:
        triples.append((by_log_std, to_native_array(free.grad), sizes.sum()))
    distances = [
        np.linalg.norm(found - expected)
        / max(np.linalg.norm(expected), ROUNDING / TOLERANCE * np.linalg.norm(scale), 1e-30)
        for found, expected, scale in triples
    ]
    return [float(distance) for distance in distances if np.isfinite(distance)]


def _add_gradient(parameter: torch.nn.Parameter, gradient: Any) -> None:
    found = torch.from_numpy(gradient.astype(np.float32, copy=False))
    parameter.grad = found if parameter.grad is None else parameter.grad.add_(found)
