"""The columnar Learner: minibatches by index, one optimiser step each, one flush of metrics.

RLlib's own update shuffles and slices whole batches, logs eight metrics a minibatch and tests every
gradient twice. This one keeps LearnerGroup (several learners, GPUs, checkpoints) and replaces the
loop inside ``update``, the seam RLlib documents for it. The loss is the algorithm's pure function.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import partial
from typing import Any

import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.core.rl_module.rl_module import RLModule
from torch import Tensor

from algos.columns import Columns, minibatches
from algos.schedules import schedule

PROGRESS = "progress"
"""Key of ``timesteps``: the share of the budget that is spent when this update is done."""
MEASURED = 4
"""Minibatches at the end of an update that are measured."""
SKIPPED = "updates_skipped"
"""Number of optimiser steps left out because the gradient was not finite."""


class ColumnLearner(TorchLearner):
    """Runs an algorithm's loss over shuffled minibatches of :class:`Columns`."""

    def build(self) -> None:
        """Create network, optimiser, random generator and the algorithm's coefficients."""
        config: Any = self.config  # ours; see ColumnConfig
        self.settings = config.settings
        self.algorithm = config.algo_class
        self.coefficients: dict[str, float] = self.algorithm.initial_coefficients(self.settings)
        self.generator = torch.Generator().manual_seed(
            (self.config.seed or 0) + self._learner_index
        )
        super().build()

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """One fused Adam; its learning rate is set from the schedule before each update."""
        modules: Any = self._module
        params = self.get_parameters(modules[module_id])
        self.register_optimizer(
            module_id=module_id,
            optimizer=torch.optim.Adam(
                params, lr=self.settings.lr, eps=self.settings.adam_eps, fused=True
            ),
            params=params,
        )

    def update(
        self,
        *args: Any,
        training_data: TrainingData | None = None,
        timesteps: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Update the network on ``training_data.batch``, a :class:`Columns` of numpy arrays."""
        self._check_is_built()
        timesteps = timesteps or {}
        self.before_gradient_based_update(timesteps=timesteps)
        if training_data is None:
            raise ValueError(
                "ColumnLearner.update needs training_data=TrainingData(batch=columns)."
            )
        training_data.validate()
        training_data.solve_refs()
        progress = float(timesteps[PROGRESS])
        self.coefficients = self.algorithm.scheduled(self.coefficients, self.settings, progress)
        batch: Any = training_data.batch  # Columns; RLlib's hint knows only its own batch
        stats = self._epochs(batch.torch(self._device), progress)
        self.coefficients = self.algorithm.adapted(self.coefficients, self.settings, stats)
        self._weights_seq_no += 1
        self.metrics.log_dict(stats, key=DEFAULT_MODULE_ID, window=1)
        self.after_gradient_based_update(timesteps=timesteps)
        return self.metrics.reduce()

    def _epochs(self, columns: Columns, progress: float) -> dict[str, float]:
        s = self.settings
        modules: Any = self.module
        module, optimiser = modules[DEFAULT_MODULE_ID], self.get_optimizer()
        # Through DDP when there are several learners; else past RLlib's wrapper, which would walk
        # over all submodules at every step only to say that this is training.
        forward = module if self.distributed else module._forward
        params = self.get_parameters(module)
        for group in optimiser.param_groups:
            group["lr"] = schedule(s.lr_schedule, s.lr, s.lr_end, progress, warmup=s.warmup)
        history: list[dict[str, Tensor]] = []
        norms: list[float] = []
        output: Any = None
        batch, skipped, epoch, enough = columns, 0, 0, False
        while not enough:
            epoch += 1
            batches = minibatches(columns, s.minibatch_size, self.generator)
            for i, batch in enumerate(batches):
                output = forward(batch)
                loss = self.algorithm.loss(output, batch, s, self.coefficients)
                for p in params:
                    p.grad = None
                loss.backward()
                norms.append(_clipped([p.grad for p in params if p.grad is not None], s.grad_clip))
                if math.isfinite(norms[-1]):
                    optimiser.step()
                else:
                    skipped += 1  # a step on NaN would ruin the network; a health rule ends the run
                # Measuring costs as much as a term of the loss: the end of the last epoch says what
                # the update did; other epochs are measured only for an algorithm that asks.
                if epoch == s.epochs and len(batches) - i <= MEASURED:
                    history.append(self._measured(output, batch))
            measure = partial(self._measured, output, batch)
            if enough := epoch == s.epochs or self.algorithm.enough(s, measure):
                history = history or [measure()]
        table = torch.stack([torch.stack(list(measured.values())) for measured in history])
        last = dict(zip(history[0], table.mean(0).tolist(), strict=True))
        return (
            last
            | _of_gradients(norms, s.grad_clip)
            | {
                "kl_max": max((float(h["kl"]) for h in history if "kl" in h), default=0.0),
                "lr": optimiser.param_groups[0]["lr"],
                "grad_clip": s.grad_clip,
                "updates": float(len(norms)),
                "epochs_run": float(epoch),
                SKIPPED: float(skipped),
                **self.coefficients,
            }
        )

    def _measured(self, output: Any, batch: Columns) -> dict[str, Tensor]:
        with torch.no_grad():
            return self.algorithm.measured(output, batch, self.settings)

    def compute_loss_for_module(self, **kwargs: Any) -> Tensor:
        """RLlib demands it; here ``update`` calls the algorithm's own loss instead."""
        raise NotImplementedError("ColumnLearner takes its loss from the algorithm.")

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """RLlib's state, and what it leaves out: coefficients and the random generator."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        own = {"coefficients": self.coefficients, "generator": self.generator.get_state().numpy()}
        return state | own

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state, older ones too (RLlib ignores weights older than the current ones)."""
        self._weights_seq_no = -1
        super().set_state(state)
        self.coefficients = state.get("coefficients", self.coefficients)
        if "generator" in state:
            self.generator.set_state(torch.from_numpy(state["generator"].copy()))

    def get_parameters(self, module: RLModule) -> list[torch.nn.Parameter]:
        """Trainable parameters only, so that a frozen part costs no optimiser state."""
        return [p for p in module.parameters() if p.requires_grad]  # type: ignore[attr-defined]


def _clipped(gradients: list[Tensor], limit: float) -> float:
    """Scale gradients in place to a norm of at most ``limit`` (0: any); their norm before that.

    As ``torch.nn.utils.clip_grad_norm_``, which takes several times longer over one flat gradient.
    """
    each = [torch.linalg.vector_norm(gradient) for gradient in gradients]
    norm = float(each[0] if len(each) == 1 else torch.linalg.vector_norm(torch.stack(each)))
    if limit and norm > limit and math.isfinite(norm):
        for gradient in gradients:
            gradient.mul_(limit / (norm + 1e-6))
    return norm


def _of_gradients(norms: list[float], grad_clip: float) -> dict[str, float]:
    clipped = sum(norm > grad_clip for norm in norms) / len(norms) if grad_clip else 0.0
    return {
        "grad_norm": sum(norms) / len(norms),
        "grad_norm_max": max(norms),
        "grad_clipped_share": clipped,
    }
