"""The learner of a trial whose updates are computed by a pack, together with those of others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from torch import Tensor

from algos.actions.array_backend import to_native_array
from algos.learning.gradients import compute_update_ratio
from algos.learning.learner import DIAGNOSTICS_INTERVAL, ColumnLearner
from algos.learning.pack import connect_pack
from algos.learning.packed_update import (
    ENTROPY_COEF,
    LOG_STD,
    LOSS_SETTINGS,
    OBSERVATIONS,
    TEMPERATURE,
    PackedNetwork,
    Task,
    TrainedState,
)
from algos.learning.update_log import UpdateLog
from algos.models.base import MASK, PolicyModule
from algos.models.mlp import MLPPolicy
from algos.objective import Objective
from algos.rollouts.columns import Columns
from envs.validation import InputError

UPDATE_SETTINGS = ("weight_decay", "grad_clip", "kl_limit")
"""Settings that an update reads as numbers."""
OTHER_SETTINGS = (
    *("lr", "lr_schedule", "lr_end", "warmup", "gamma", "lam"),
    *("entropy_coef", "entropy_schedule", "entropy_end", "entropy_decay", "entropy_target"),
    *("temperature", "temperature_schedule", "temperature_end", "initial_log_std", "log_std_end"),
)
"""Those that act by what an update is given: rows, learning rate, coefficients, temperature."""


def check_can_pack(module: PolicyModule, objective: Objective[Any]) -> None:
    """Refuse trials whose updates no pack can compute.

    Raises:
        InputError: what their network, settings or algorithm would have to be.
    """
    s, kind = objective.settings, type(objective)
    if type(module) is not MLPPolicy:
        found = f"settings.model is {s.model!r}, which is {type(module).__name__} here"
        repair = "observations without images, and settings.memory='none'"
    elif s.num_learners or s.accumulate > 1:
        found = f"settings.num_learners is {s.num_learners} and accumulate is {s.accumulate}"
        repair = "num_learners 0 and accumulate 1"
    elif (
        kind.build_network_inputs is not Objective.build_network_inputs
        or objective.measures_epochs
        or _list_changed_coefficients(objective)
    ):
        found = f"{kind.__name__} does not learn from single steps by constant coefficients"
        repair = "algo='ppo', 'grpo', or 'reinforce' with another baseline than a moving average"
    else:
        return
    raise InputError(
        f"packs train perceptrons together, but {found}: it needs {repair}. Set packs to 0 to "
        "train each trial by itself."
    )


def _list_changed_coefficients(objective: Objective[Any]) -> list[str]:
    """Return the names of coefficients that an update changes, without that of the entropy."""
    before = objective.initialise_coefficients()
    after = objective.adapt_coefficients(before, defaultdict(lambda: 1.0))
    return [name for name in after if name != ENTROPY_COEF and after[name] != before[name]]


class PackedLearner(ColumnLearner):
    """Prepares updates, has a pack compute them, and takes over the results."""

    def build(self) -> None:
        """Create what any learner has, and find the pack."""
        super().build()
        check_can_pack(self._get_policy_network(), self.objective)
        config: Any = self.config  # ours; see ColumnConfig
        self.compute_update = connect_pack(config.pack)

    def _run_epochs(
        self, columns: Columns, objective: Objective[Any], lr: float
    ) -> dict[str, float]:
        """See :class:`ColumnLearner`, to which imitation and unusual numbers of rows are left."""
        s = objective.settings
        rows = len(columns) // s.minibatch_size * s.minibatch_size
        # More than there should be are collected again after a runner was lost.
        if objective is not self.objective or not 0 < rows <= s.rows_per_iteration:
            return super()._run_epochs(columns, objective, lr)
        trained = self._get_trained_parts(objective)
        initial_params = [p.detach().clone() for p in trained.params]
        orders: list[Tensor] = []
        states: list[Tensor] = []
        for _ in range(s.epochs):
            orders.append(torch.randperm(len(columns), generator=self.generator)[:rows])
            states.append(self.generator.get_state())
        update = self.compute_update(self._make_task(columns, torch.stack(orders), lr))
        # As if the orders of skipped epochs had never been drawn.
        self.generator.set_state(states[update.epochs - 1])
        self._write_state(update.after)
        if self.updates % DIAGNOSTICS_INTERVAL == 0:
            self._diagnose(columns.select(orders[update.epochs - 1][-s.minibatch_size :]))
        log = UpdateLog(update.epochs, update.grad_norms)
        for metrics in update.metrics:
            found = {name: torch.tensor(value) for name, value in metrics.items()}
            log.record(found, s.minibatch_size)
        return log.summarise(s.grad_clip, self._sum_over_learners) | {
            "update_ratio": compute_update_ratio(initial_params, trained.params),
            "lr": lr,
        }

    def _make_task(self, columns: Columns, order: Tensor, lr: float) -> Task:
        """Return the task of an update on rows [N], in the order of its epochs [E, m n]."""
        network, s = self._get_policy_network(), self.objective.settings
        own = {field.name: getattr(s, field.name) for field in fields(s)}
        rows = {
            name: to_native_array(column)
            for name, column in columns.items()
            if name == MASK or name not in network.observation_spaces
        }
        inputs = network.flatten(network.normalise_observations(columns))
        rows[OBSERVATIONS] = to_native_array(inputs)
        vectors = {n: own[n] for n in (*UPDATE_SETTINGS, *LOSS_SETTINGS) if n in own} | {"lr": lr}
        coefficients = dict(self.coefficients)
        # Without a weight there is no such term, which is one of all trials of a pack or of none.
        if coefficients[ENTROPY_COEF]:
            vectors[ENTROPY_COEF] = coefficients.pop(ENTROPY_COEF)
        fixed = {
            name: to_native_array(part)
            for name, part in {LOG_STD: network.log_std, TEMPERATURE: network.temperature}.items()
            if part is not None
        }
        learns_spread = len(self._list_trained()) > 1
        packed = PackedNetwork(
            network.layout, network.head, self.objective, learns_spread, s.optimiser == "adamw"
        )
        # Alike in all of this, trials are one computation on numbers of their own.
        shared = {n: v for n, v in own.items() if n not in (*vectors, *OTHER_SETTINGS)}
        key = type(self.objective), shared, network.layout.shapes, network.action_space
        shapes = {name: (str(row.dtype), row.shape[1:]) for name, row in rows.items()}
        return Task(
            key=repr((*key, shapes, sorted(fixed), sorted(vectors), coefficients)),
            network=packed,
            before=self._read_state(),
            columns=rows,
            order=order.numpy(),
            fixed=fixed,
            vectors=vectors,
            coefficients=coefficients,
        )

    def _list_trained(self) -> list[torch.nn.Parameter]:
        """Return the flat parameter, and the log standard deviations where they are learnt."""
        network = self._get_policy_network()
        both = (network.flat, network.log_std)
        return [p for p in both if p is not None and p.requires_grad]

    def _read_state(self) -> TrainedState:
        """Return weights and Adam's moments, as one vector each."""
        state, params = self._get_adam().state, self._list_trained()
        moments = [
            [state[p][name] if state[p] else torch.zeros_like(p) for p in params]
            for name in ("exp_avg", "exp_avg_sq")
        ]
        weights, mean, square = (
            torch.cat([part.detach().flatten() for part in parts]).numpy()
            for parts in (params, *moments)
        )
        steps = state[params[0]].get("step", torch.zeros(())).numpy()
        return TrainedState(weights, mean, square, steps)

    @torch.no_grad()
    def _write_state(self, given: TrainedState) -> None:
        """Take over weights and moments."""
        state, params = self._get_adam().state, self._list_trained()
        sizes = [p.numel() for p in params]
        parts = [torch.from_numpy(np.array(vector)).split(sizes) for vector in given[:3]]
        for p, weights, mean, square in zip(params, *parts, strict=True):
            p.copy_(weights.view_as(p))
            state[p] |= {"exp_avg": mean.view_as(p), "exp_avg_sq": square.view_as(p)}
            state[p]["step"] = torch.tensor(float(given.steps))

    def _get_adam(self) -> torch.optim.Optimizer:
        return next(o for _, o in self.get_optimizers_for_module(DEFAULT_MODULE_ID))

    def _diagnose(self, batch: Columns) -> None:
        """Measure each term of the loss, and the network, on the last minibatch."""
        trained = self._get_trained_parts(self.objective)
        self._accumulate(batch, 1.0, trained, self.objective, diagnose=True)
        self.diagnostics |= self._get_policy_network().compute_part_grad_norms()
        for p in trained.params:
            p.grad = None
