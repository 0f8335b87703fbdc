"""Gradients of small networks on NumPy: those of autograd, in a fourth of its time.

With a network of a few thousand weights on a CPU most of a minibatch's time is autograd's own. Here
the objective's own loss is called with expressions (``losses/loss_expressions.py``) in the place of
the network's log-probabilities, entropies and values; their gradients go back through the actions
(``algos/actions``) and the perceptrons (``models/fused_mlp.py``) to the weights. What expressions
cannot do is left to autograd, and so are the diagnostics of single terms; both ways add to the same
gradients, so that either can follow the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from algos.actions.array_backend import Array, to_native_array
from algos.actions.head import ActionHead
from algos.actions.numpy_actions import NO_SPREAD
from algos.learning.gradients import TrainedParts, set_gradients_aside
from algos.losses import sum_loss_terms
from algos.losses.loss_expressions import Expression, Tape, TapeFunction
from algos.models.base import MASK
from algos.models.mlp import MLPPolicy, Trace
from algos.objective import Loss, Objective
from algos.rollouts.columns import Columns, Ragged

TOLERANCE = 1e-3
"""Relative difference of two gradients above which they are not the same. In thousands of random
cases float32 made at most a ninth of it."""
ROUNDING = 1e-5
"""Rounding errors of a gradient, in units of what the same rows give without cancelling out."""

LOGP, ENTROPY, VALUE = "output.logp", "output.entropy", "output.value"
"""Inputs of a loss, by which it is differentiated: rows [N] computed from the network's outputs."""


class _Hidden:
    """A column that only the network reads; a loss that computes with it is left to autograd."""

    __array_ufunc__ = None

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows


class _RecordedActions:
    """The distributions of a minibatch, of which a loss may ask what follows from its actions.

    Args:
        tape: of the loss.
        steps: columns of N steps, among them their actions.
        columns: names of those of the actions.
        rows: N.
    """

    def __init__(
        self, tape: Tape, steps: Mapping[str, Any], columns: tuple[str, ...], rows: int
    ) -> None:
        self.steps, self._columns = steps, columns
        self._logp, self._entropy = tape.add_input(LOGP, rows), tape.add_input(ENTROPY, rows)

    def logp(self, action: Mapping[str, Any]) -> Expression:
        """Return the log-probabilities ``[N]`` of the minibatch's own actions.

        Raises:
            TypeError: other actions.
        """
        for name in self._columns:
            column, scored = action[name], self.steps[name]
            if column is not scored and not (
                isinstance(column, np.ndarray) and np.array_equal(column, scored)
            ):
                raise TypeError("Only the actions of the minibatch have been scored.")
        return self._logp

    def entropy(self) -> Expression:
        """Return the entropies ``[N]``."""
        return self._entropy


class RecordedLoss(NamedTuple):
    """Functions of LOGP, ENTROPY and VALUE of a minibatch."""

    gradient: TapeFunction
    """To the gradients of its mean loss by them."""
    kl: TapeFunction | None
    """To the KL of the collecting to the new policy; None: expressions cannot do it."""


def record_loss(
    objective: Objective[Any],
    batch: Columns,
    coefficients: Mapping[str, float],
    head: ActionHead,
    rows: int,
) -> RecordedLoss:
    """Return the functions that compute what an update needs of a loss.

    Without columns of uneven rows they serve every minibatch of as many rows, whose own columns are
    given to them under their names.

    Args:
        objective: of the loss.
        batch: the minibatch, NumPy arrays.
        coefficients: weights that change during training.
        head: of the actions.
        rows: number of steps N that the network reads.

    Raises:
        Exception: what expressions cannot do, or a mistake of the loss.
    """
    reusable, count = is_reusable(batch), len(batch)
    tape = Tape(holds_arrays=not reusable)
    if reusable:
        # NumPy computes exp of uint8 and bool columns as float16, and -x as uint8.
        symbols = {
            name: tape.add_input(name, count) if x.ndim == 1 and x.itemsize > 2 else _Hidden(count)
            for name, x in batch.items()
        }
        batch = Columns(symbols)
    dist = _RecordedActions(tape, objective.build_network_inputs(batch), head.columns, rows)
    value = tape.add_input(VALUE, rows)
    loss = objective.loss({"dist": dist, "value": value, "state": {}}, batch, coefficients)
    total: Any = sum_loss_terms(loss.terms)
    gradient = tape.differentiate(total, [dist.logp(dist.steps), dist.entropy(), value])
    kl = None
    if loss.kl:
        with suppress(TypeError):
            measured: Any = loss.kl()
            kl = tape.evaluate(measured)
    return RecordedLoss(gradient, kl)


def is_reusable(batch: Columns) -> bool:
    """Whether a tape of its loss serves other minibatches: not where rows are uneven."""
    return not any(isinstance(column, Ragged) for column in batch.values())


class Minibatch(NamedTuple):
    """The rows and the objective whose gradient is computed."""

    network: MLPPolicy
    objective: Objective[Any]
    batch: Columns
    """Its rows, NumPy arrays."""
    coefficients: Mapping[str, float]
    """Weights that change during training."""
    fraction: float
    """Weight of this minibatch within its optimiser step."""


class _Upstream(NamedTuple):
    """Derivatives of a minibatch's mean loss by what the network gives, and its forward pass."""

    trace: Trace
    outputs: Array
    """Gradient by the policy's outputs ``[N, size]``."""
    log_std: Array
    """Gradient by the log standard deviations ``[L]``."""
    values: Array
    """Gradient by the values ``[N]``."""
    logps: Array
    """Gradient by the log-probabilities ``[N]``."""
    entropies: Array | float
    """Gradient by the entropies ``[N]``; one number where it is the same for all."""
    kl: Callable[[], float]
    """KL divergence from the collecting to the new policy; NaN where it is not known."""
    computed: tuple[Array, Array]
    """The outputs ``[N, size]`` and values ``[N]`` of the network."""


class QuickGradients:
    """Adds gradients of minibatches to the parameters of a network, where expressions suffice."""

    def __init__(self) -> None:
        self.left_to_autograd: set[type[Objective[Any]]] = set()
        """Objectives whose loss asks for more than expressions can do."""
        self._compared: set[type[Objective[Any]]] = set()
        self._differs = False
        """Whether the last compared minibatch differed."""
        self._upstream: _Upstream | None = None
        """Derivatives of the minibatch accumulated last."""
        self._recorded: dict[int, RecordedLoss] = {}
        """Tapes by number of rows, for the objective and coefficients below."""
        self._recorded_for: tuple[Any, Any] = None, None

    def accumulate(
        self,
        differentiate: Callable[[], Loss],
        minibatch: Minibatch,
        trained: TrainedParts,
        *,
        compare: bool,
        measured: bool,
        is_last: bool,
    ) -> Loss | None:
        """Add the gradient of a minibatch's mean loss to the parameters, by autograd if need be.

        The first minibatch of an objective is compared with autograd's, and that after a
        difference.

        Args:
            differentiate: adds autograd's gradient and returns the loss.
            minibatch: whose gradient is added.
            trained: what it is added to.
            compare: whether autograd's is needed, for diagnostics.
            measured: whether the loss is needed.
            is_last: whether the minibatch ends an epoch, after which its loss may end the update.

        Returns:
            The loss; None of most minibatches, as computing it takes as long as the gradient.
        """
        objective = minibatch.objective
        if not trained.on_numpy:
            return differentiate()
        if compare or self._differs or type(objective) not in self._compared:
            with set_gradients_aside(trained.params):
                loss = differentiate()
                self.compare(minibatch, replace=not compare)
            return loss
        self._upstream = self._compute_upstream(minibatch)
        if self._upstream is None:
            return differentiate()
        _add_gradients(minibatch.network, self._upstream)
        needed = measured or (is_last and self._may_end_update(objective))
        return self.compute_loss(minibatch) if needed else None

    def _may_end_update(self, objective: Objective[Any]) -> bool:
        """Whether the loss of the minibatch accumulated last may end the update."""
        limit = objective.settings.kl_limit
        within = self._upstream is not None and (not limit or self._upstream.kl() <= limit)
        return objective.measures_epochs or not within

    @torch.no_grad()
    def compute_loss(self, minibatch: Minibatch) -> Loss:
        """Return the loss of the minibatch accumulated last, as the weights were then."""
        network, objective, batch, coefficients, _ = minibatch
        columns, upstream = batch.to_torch(network.device), self._upstream
        if upstream is None:
            raise ValueError("This minibatch was left to autograd, which has its loss.")
        outputs, values = map(torch.from_numpy, upstream.computed)
        dist = network.dist(outputs, objective.build_network_inputs(columns))
        forward = {"dist": dist, "value": values, "state": {}}
        return objective.loss(forward, columns, coefficients)

    def compare(self, minibatch: Minibatch, *, replace: bool) -> None:
        """Compare with the gradients in the parameters, which are autograd's of this minibatch.

        They differ for a loss that treats expressions in another way, as by ``isinstance``. A
        single difference may be chance, where a ratio lies at the edge of the clip range to within
        rounding; after two in a row the objective is left to autograd.

        Args:
            minibatch: of both gradients.
            replace: whether its own gradients take the place of autograd's where they agree, as the
                weights must not depend on whether a process has compared before.
        """
        network, kind = minibatch.network, type(minibatch.objective)
        upstream = self._compute_upstream(minibatch)
        self._compared.add(kind)
        differed_before, self._differs = self._differs, False
        if upstream is None:
            return
        self._differs = max(_measure_distances(network, upstream), default=0.0) > TOLERANCE
        if differed_before and self._differs:
            self.left_to_autograd.add(kind)
        if replace and not self._differs:
            for parameter in (network.flat, network.log_std):
                if parameter is not None:
                    parameter.grad = None
            _add_gradients(network, upstream)

    def _compute_upstream(self, minibatch: Minibatch) -> _Upstream | None:
        """Return the derivatives; None where expressions cannot do what the loss asks for."""
        kind = type(minibatch.objective)
        if kind in self.left_to_autograd:
            return None
        try:
            return self._differentiate(minibatch)
        except Exception:  # a mistake of the loss, autograd will raise again
            self.left_to_autograd.add(kind)
            return None

    def _differentiate(self, minibatch: Minibatch) -> _Upstream:
        """Return the derivatives.

        Raises:
            Exception: what expressions cannot do, or a mistake of the loss.
        """
        network, objective, batch, coefficients, fraction = minibatch
        steps = objective.build_network_inputs(batch)
        trace, outputs, values = network.trace(steps)
        gradient, kl = self._get_recorded(objective, batch, coefficients, network.head, len(values))
        parameter = network.log_std
        log_std = NO_SPREAD if parameter is None else to_native_array(parameter)
        scores = network.head.score(outputs, steps, log_std, steps.get(MASK))
        inputs: dict[Hashable, Any] = {**batch.rows, LOGP: scores.logp, VALUE: values}
        if ENTROPY in gradient.inputs:
            inputs[ENTROPY] = scores.entropy
        by_logp, by_entropy, by_values = gradient(inputs, fraction)
        by_logp, by_values = _fill(by_logp, len(values)), _fill(by_values, len(values))
        by_entropy = 0.0 if by_entropy is None else by_entropy
        by_outputs, by_log_std = scores.backpropagate(by_logp, by_entropy)
        return _Upstream(
            trace,
            by_outputs,
            by_log_std,
            by_values,
            by_logp,
            by_entropy,
            partial(_measure_kl, kl, inputs),
            (outputs, values),
        )

    def _get_recorded(
        self,
        objective: Objective[Any],
        batch: Columns,
        coefficients: Mapping[str, float],
        head: ActionHead,
        rows: int,
    ) -> RecordedLoss:
        last_objective, last_coefficients = self._recorded_for
        if objective is not last_objective or coefficients != last_coefficients:
            self._recorded, self._recorded_for = {}, (objective, dict(coefficients))
        recorded = self._recorded.get(rows)
        if recorded is None:
            recorded = record_loss(objective, batch, coefficients, head, rows)
            if is_reusable(batch):
                self._recorded[rows] = recorded
        return recorded


def _measure_kl(kl: TapeFunction | None, inputs: Mapping[Hashable, Any]) -> float:
    """Return the KL; NaN where expressions cannot compute it, so that the loss does."""
    with suppress(Exception):
        if kl is not None:
            return kl(inputs)
    return math.nan


def _fill(gradient: Array | None, rows: int) -> Array:
    """Return the gradient by rows [N]; 0 where the loss does not depend on them."""
    values = np.float32(0) if gradient is None else gradient
    return values if np.ndim(values) else np.full(rows, values, np.float32)


def _measure_distances(network: MLPPolicy, upstream: _Upstream) -> list[float]:
    """Return how far the gradients are from those in the parameters, relative to their size.

    Policy and critic count together and the policy by itself: large returns would hide a difference
    of the policy. NaN and infinite gradients are left out; the learner reports them.
    """
    trace, outputs, by_log_std, values, logps, entropies, *_ = upstream
    # The derivatives by the outputs may be small differences of these.
    sizes = np.abs(logps) + np.abs(entropies)
    gradient = network.backpropagate(trace, outputs, values)
    # The gradient of derivatives that cannot cancel out, as the true ones of a settled policy do
    # until only rounding is left.
    scale = network.backpropagate(
        trace, np.maximum(np.abs(outputs), sizes[:, None]), np.abs(values)
    )
    flat_gradient = network.flat.grad
    expected = np.zeros_like(gradient) if flat_gradient is None else to_native_array(flat_gradient)
    triples = [(gradient, expected, scale)]
    split = [network.layout.split_trunk_weights(part, "policy") for part in triples[0]]
    gradient, expected, scale = (np.concatenate([w.ravel() for w in p.values()]) for p in split)
    triples.append((gradient, expected, scale))
    log_std = network.log_std
    if log_std is not None and log_std.grad is not None:
        triples.append((by_log_std, to_native_array(log_std.grad), sizes.sum()))
    distances = [
        np.linalg.norm(gradient - expected)
        / max(np.linalg.norm(expected), ROUNDING / TOLERANCE * np.linalg.norm(scale), 1e-30)
        for gradient, expected, scale in triples
    ]
    return [float(distance) for distance in distances if np.isfinite(distance)]


def _add_gradients(network: MLPPolicy, upstream: _Upstream) -> None:
    trace, outputs, by_log_std, values, *_ = upstream
    _add_gradient(network.flat, network.backpropagate(trace, outputs, values))
    log_std = network.log_std
    if log_std is not None and log_std.requires_grad:
        _add_gradient(log_std, by_log_std)


def _add_gradient(parameter: torch.nn.Parameter, gradient: Array) -> None:
    increment = torch.from_numpy(gradient.astype(np.float32, copy=False))
    parameter.grad = increment if parameter.grad is None else parameter.grad.add_(increment)
