"""Updates of several trials at once: networks of one shape as one batched network.

On a GPU a small network leaves nearly all of the device idle, and a minibatch takes as long as its
launches do. Here the weights of K trials are rows of one matrix ``[K, P]``: each operation computes
for all of them (``torch.vmap`` of the objective's own loss), and on a GPU the operations of a
minibatch are recorded once and launched together (``cuda_graphs.py``). Settings that trials differ
in are vectors ``[K]``. On a CPU the same lines run one by one, for equal results and no gain.

An update depends on its :class:`Task` alone, so that any process can compute it, or compute it
again (``pack.py``). What precedes and follows it stays with the trial (``packed_learner.py``).
Trials have different numbers of rows, but all minibatches are of the same size: what is left over
of an epoch waits for the next shuffle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from algos.actions.array_backend import Array
from algos.actions.head import ActionHead
from algos.learning.cuda_graphs import record_operations
from algos.learning.optimisers import ADAM_BETAS, ADAM_EPS
from algos.learning.update_log import MEASURED_MINIBATCHES, measure_loss
from algos.losses import sum_loss_terms
from algos.models.base import MASK
from algos.models.fused_mlp import Layout, forward_trunk
from algos.objective import Objective
from algos.rollouts.columns import Columns

OBSERVATIONS = "observations"
"""Column [N, I]: what the networks read, flattened and normalised."""
LOG_STD, TEMPERATURE = "log_std", "temperature"
"""Names of what acting needs and an update does not change."""
LOSS_SETTINGS = ("clip", "value_coef")
"""Settings that a loss reads as numbers: trials of a pack may differ in them."""
ENTROPY_COEF = "entropy_coef"
"""The coefficient in which they may differ."""


class TrainedState(NamedTuple):
    """Weights [P] of a trial and Adam's moments of them, or [K, P] of K trials."""

    weights: Array
    mean: Array
    square: Array
    steps: Array
    """Number of steps, ``[]`` or ``[K]``."""


@dataclass(frozen=True)
class PackedNetwork:
    """Policy and critic perceptrons, and how they learn: what the trials of a pack share.

    Attributes:
        layout: of the weights.
        head: of the actions.
        objective: of one of the trials.
        learns_spread: whether the weights end with log standard deviations ``[L]``.
        decouples_decay: whether weight decay is AdamW's.
    """

    layout: Layout
    head: ActionHead
    objective: Objective[Any]
    learns_spread: bool
    decouples_decay: bool

    def compute_loss(
        self,
        coefficients: Mapping[str, Any],
        weights: Tensor,
        fixed: Mapping[str, Tensor],
        rows: Mapping[str, Tensor],
        vectors: Mapping[str, Tensor],
        *,
        measure: bool,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean loss of one trial's minibatch, and its metrics if they are asked for.

        Args:
            coefficients: those that all trials share.
            weights: of this trial [P].
            fixed: LOG_STD and TEMPERATURE, where there are any.
            rows: columns [N, ...].
            vectors: this trial's entries of the settings.
            measure: whether to measure the minibatch.
        """
        settings = copy(self.objective.settings)
        for name in vectors.keys() & LOSS_SETTINGS:
            # Past the settings' own check, which knows numbers only.
            object.__setattr__(settings, name, vectors[name])
        own = {name: vectors[name] for name in vectors.keys() & {ENTROPY_COEF}}
        weights_of_terms: Any = {**coefficients, **own}
        objective = replace(self.objective, settings=settings)
        forward = self._compute_forward(weights, fixed, rows)
        loss = objective.loss(forward, Columns(dict(rows)), weights_of_terms)
        return sum_loss_terms(loss.terms), measure_loss(loss) if measure else {}

    def _compute_forward(
        self, weights: Tensor, fixed: Mapping[str, Tensor], rows: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Return what a network's own forward pass returns of these rows."""
        layout = self.layout
        flat, log_std = weights[: layout.size], weights[layout.size :]
        outputs, values = (
            forward_trunk(
                rows[OBSERVATIONS], layout.split_trunk_layers(flat, trunk), layout.activation
            )
            for trunk in ("policy", "critic")
        )
        spread = log_std if self.learns_spread else fixed.get(LOG_STD)
        dist = self.head.dist(outputs, spread, rows.get(MASK))
        if TEMPERATURE in fixed:
            dist = dist.at_temperature(fixed[TEMPERATURE])
        return {"dist": dist, "value": values[:, 0], "state": {}}


@dataclass(frozen=True)
class Task:
    """An update of one trial, as NumPy arrays: those travel between processes without a copy.

    Attributes:
        key: equal for trials that can be updated together.
        network: what they share.
        before: what is trained.
        columns: rows [N, ...] that network and loss read; N differs between trials.
        order: the rows of each epoch [E, m n], m minibatches of n rows.
        fixed: LOG_STD and TEMPERATURE, where there are any.
        vectors: settings that trials may differ in.
        coefficients: coefficients that they share.
    """

    key: str
    network: PackedNetwork
    before: TrainedState
    columns: dict[str, Array]
    order: Array
    fixed: dict[str, Array]
    vectors: dict[str, float]
    coefficients: dict[str, float]


@dataclass
class Update:
    """The result of a task, as NumPy arrays and numbers."""

    after: TrainedState
    epochs: int = 0
    """Passes over the rows."""
    grad_norms: list[float] = field(default_factory=list[float])
    """Gradient norm of each optimiser step, before clipping."""
    metrics: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    """Those of each minibatch that was measured."""


class PackedUpdate:
    """Runs tasks of one key, K at a time.

    Args:
        task: one of them.
        slots: K.
        device: where they are computed.
    """

    def __init__(self, task: Task, slots: int, device: torch.device) -> None:
        self.network, self.coefficients, self.device = task.network, task.coefficients, device
        settings = task.network.objective.settings
        self.size, most_rows = settings.minibatch_size, settings.rows_per_iteration

        def allocate(like: Array, *shape: int) -> Tensor:
            return torch.from_numpy(np.zeros((slots, *shape), like.dtype)).to(device)

        # Written in place: recorded operations read and write the same memory each time.
        self.now = TrainedState(*(allocate(part, *part.shape) for part in task.before))
        self.columns = {
            name: allocate(column, most_rows, *column.shape[1:])
            for name, column in task.columns.items()
        }
        self.fixed = {name: allocate(part, *part.shape) for name, part in task.fixed.items()}
        self.vectors = {name: torch.zeros(slots, device=device) for name in task.vectors}
        self.active = torch.zeros(slots, dtype=torch.bool, device=device)
        """Trials for which the present minibatch counts [K]."""
        self.index = allocate(task.order, self.size)
        """Rows of the present minibatches [K, n]."""
        self.norms = torch.zeros(slots, device=device)
        """Of its gradients [K]."""
        self.metrics: dict[str, Tensor] = {}
        """Of the minibatch measured last [K]."""
        self._slots = torch.arange(slots, device=device)[:, None]
        self._runs: dict[bool, Callable[[], None]] = {}

    def run(self, tasks: Sequence[Task]) -> list[Update]:
        """Run at most K tasks."""
        self._load(tasks)
        updates = [Update(task.before) for task in tasks]
        # Minibatches in an epoch of each trial; slots that are left over, and trials that have
        # reached their KL limit, run none.
        counts = [task.order.shape[1] // self.size for task in tasks]
        counts += [0] * (len(self._slots) - len(tasks))
        order = self._join_orders(tasks, max(counts) * self.size)  # [K, E, m n]
        epochs = order.shape[1]
        for epoch in range(epochs):
            # Any epoch may be the last one of a trial.
            num_measured = MEASURED_MINIBATCHES if epoch + 1 == epochs else 1
            norms, metrics = self._run_epoch(order[:, epoch], counts, num_measured)
            for k, (task, update) in enumerate(zip(tasks, updates, strict=True)):
                if not counts[k]:
                    continue
                update.epochs += 1
                update.grad_norms += norms[k][: counts[k]]
                measured = range(max(counts[k] - num_measured, 0), counts[k])
                update.metrics = [
                    dict(zip(self.metrics, metrics[i][k], strict=True)) for i in measured
                ]
                limit = task.vectors["kl_limit"]
                if limit and update.metrics[-1].get("kl", 0.0) > limit:
                    counts[k] = 0
            if not any(counts):
                break
        # Copies: the next run writes into the same memory.
        after = [np.array(part.cpu()) for part in self.now]
        for k, update in enumerate(updates):
            update.after = TrainedState(*(part[k] for part in after))
        return updates

    def _run_epoch(
        self, order: Tensor, counts: Sequence[int], num_measured: int
    ) -> tuple[list[list[float]], dict[int, list[list[float]]]]:
        """Train one epoch, in this order [K, m n].

        Args:
            order: of the rows.
            counts: minibatches of each trial, at most m.
            num_measured: those at the end of its epoch that are measured.

        Returns:
            Gradient norms [K][m], and metrics [K][metrics] by the number of the minibatch.
        """
        norms: list[Tensor] = []
        metrics: dict[int, Tensor] = {}
        numbers = range(max(counts))
        active = torch.tensor([[i < count for count in counts] for i in numbers]).to(self.device)
        first_measured = min(filter(None, counts)) - num_measured
        for i in numbers:
            self.active.copy_(active[i])
            self.index.copy_(order[:, i * self.size : (i + 1) * self.size])
            self._get_run(measure=i >= first_measured)()
            norms.append(self.norms.clone())
            if i >= first_measured:
                metrics[i] = torch.stack(list(self.metrics.values()), 1)
        return torch.stack(norms, 1).tolist(), {i: m.tolist() for i, m in metrics.items()}

    def _load(self, tasks: Sequence[Task]) -> None:
        """Copy the tasks into the slots; those left over hold the last one again."""
        left = [tasks[-1]] * (len(self._slots) - len(tasks))
        tasks = [*tasks, *left]

        def stack(parts: Iterable[Any]) -> Tensor:
            return torch.from_numpy(np.stack(list(parts)))

        for i, place in enumerate(self.now):
            place.copy_(stack(task.before[i] for task in tasks))
        for name, place in self.fixed.items():
            place.copy_(stack(task.fixed[name] for task in tasks))
        for name, place in self.vectors.items():
            place.copy_(stack(np.float32(task.vectors[name]) for task in tasks))
        for name, place in self.columns.items():
            most = place.shape[1]
            place.copy_(stack(_pad(task.columns[name], most) for task in tasks))

    def _join_orders(self, tasks: Sequence[Task], most: int) -> Tensor:
        """Return the orders as one tensor [K, E, most]; what is behind a task's end is not used."""
        orders = [_pad(task.order.T, most).T for task in tasks]
        orders += [orders[-1]] * (len(self._slots) - len(tasks))
        return torch.from_numpy(np.stack(orders)).to(self.device)

    # One minibatch of every trial.

    def _get_run(self, *, measure: bool) -> Callable[[], None]:
        """Return what trains a minibatch: its operations, or their record."""
        if measure not in self._runs:
            operations = partial(self._train_minibatch, measure)
            on_gpu = self.device.type == "cuda"
            self._runs[measure] = record_operations(operations, self.now) if on_gpu else operations
        return self._runs[measure]

    def _train_minibatch(self, measure: bool) -> None:
        """Take a step along the gradients of the present minibatches."""
        rows = {name: column[self._slots, self.index] for name, column in self.columns.items()}
        weights = self.now.weights.detach().requires_grad_()
        compute = partial(self.network.compute_loss, self.coefficients, measure=measure)
        losses, metrics = torch.vmap(compute)(weights, self.fixed, rows, self.vectors)
        (gradient,) = torch.autograd.grad(losses.sum(), weights)
        for name, metric in metrics.items():
            self.metrics.setdefault(name, torch.empty_like(metric)).copy_(metric)
        self.norms.copy_(torch.linalg.vector_norm(gradient, dim=1))
        self._step_adam(gradient)

    @torch.no_grad()
    def _step_adam(self, gradient: Tensor) -> None:
        """Take a step of Adam (Kingma and Ba 2015, algorithm 1) by each trial's own settings."""
        now, norms, (beta1, beta2) = self.now, self.norms[:, None], ADAM_BETAS
        vectors = {name: vector[:, None] for name, vector in self.vectors.items()}
        lr, decay, limit = vectors["lr"], vectors["weight_decay"], vectors["grad_clip"]
        clipped = gradient * (limit / (norms + 1e-6))
        gradient = torch.where((limit > 0) & (norms > limit), clipped, gradient)
        if self.network.decouples_decay:
            weights = now.weights * (1 - lr * decay)
        else:
            weights, gradient = now.weights, gradient + decay * now.weights
        mean = beta1 * now.mean + (1 - beta1) * gradient
        square = beta2 * now.square + (1 - beta2) * gradient * gradient
        steps = now.steps + 1
        # Both moments without their bias towards 0.
        count = steps.double()[:, None]
        deviation = (square / (1 - beta2**count).float()).sqrt() + ADAM_EPS
        weights = weights - lr / (1 - beta1**count).float() * mean / deviation
        # A step on NaN would ruin the network; a health rule ends the run.
        steps_now = self.active & self.norms.isfinite()
        for place, value in zip(now, (weights, mean, square, steps), strict=True):
            chosen = steps_now if place.ndim == 1 else steps_now[:, None]
            place.copy_(torch.where(chosen, value, place))


def _pad(array: Array, most: int) -> Array:
    """Return rows [N, ...] as [most, ...], with zeros behind them."""
    return np.concatenate([array, np.zeros((most - len(array), *array.shape[1:]), array.dtype)])
