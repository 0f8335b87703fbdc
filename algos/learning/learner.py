"""The columnar Learner: minibatches by index, one optimiser step each, one flush of metrics.

RLlib's own update shuffles and slices whole batches, logs eight metrics a minibatch and tests every
gradient twice. This one keeps LearnerGroup (several learners, GPUs, checkpoints) and replaces the
loop inside ``update``, the seam RLlib documents for it. The loss is the algorithm's pure function.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.core.rl_module.rl_module import RLModule
from torch import Tensor

from algos.exploration import over_choices, schedule_log_std
from algos.learning.behaviour_cloning import BehaviourCloning
from algos.learning.optimisers import make_optimisers
from algos.losses import sum_loss_terms
from algos.rollouts.columns import Columns, split_minibatches
from algos.schedules import schedule

PROGRESS = "progress"
"""Key of ``timesteps``: the share of the budget that is spent when this update is done."""
SCORE = "score"
"""Key of ``timesteps``: the mean score of the episodes behind this update; None without any."""
CLONE = "clone"
"""Key of ``timesteps``: true where the rows are to be imitated instead (the warm start)."""
REFERENCE_CHUNK_ROWS = 4096
"""Rows that the reference policy looks at together."""
MEASURED_MINIBATCHES = 4
"""Minibatches at the end of an update that are measured."""
DIAGNOSTICS_INTERVAL = 4
"""Updates after which terms and network are examined anew, which costs as much as a minibatch."""
SKIPPED_UPDATES = "updates_skipped"
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
        self.updates = 0
        self.diagnostics: dict[str, float] = {}
        self.reference: Any = None
        super().build()

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Those that the settings name; each update sets their learning rate by the schedule."""
        modules, s = self._module, self.settings
        params = self.get_parameters(modules[module_id])  # type: ignore[index]
        found = make_optimisers(s.optimiser, params, s.lr, s.adam_eps, s.weight_decay)
        for name, (optimiser, own) in found.items():
            self.register_optimizer(
                module_id=module_id, optimizer_name=name, optimizer=optimiser, params=own
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
        batch: Any = training_data.batch  # Columns; RLlib's hint knows only its own batch
        columns: Columns = batch.to_torch(self._device)
        if timesteps.get(CLONE):
            epochs = replace(self.settings, epochs=self.settings.warm_start_epochs)
            stats = self._run_epochs(columns, BehaviourCloning, epochs, progress)
        else:
            stats = self._update_policy(columns, progress) | self._update_log_std(
                progress, timesteps.get(SCORE)
            )
            stats |= self._update_temperature(progress)
        self._weights_seq_no += 1
        self.metrics.reset()  # what an earlier update said and this one does not
        self.metrics.log_dict(stats, key=DEFAULT_MODULE_ID, window=1)
        self.after_gradient_based_update(timesteps=timesteps)
        return self.metrics.reduce()

    def _update_policy(self, columns: Columns, progress: float) -> dict[str, float]:
        """One update by the algorithm's own loss."""
        algorithm, s = self.algorithm, self.settings
        self.coefficients = algorithm.schedule_coefficients(self.coefficients, s, progress)
        every = algorithm.get_reference_interval(s)
        if every is not None:
            if self.reference is None or (every and self.updates % every == 0):
                self._freeze_reference()
            columns = columns.with_columns(**self._compute_reference_columns(columns))
        used = self.coefficients
        stats = self._run_epochs(columns, algorithm, s, progress)
        self.coefficients = algorithm.adapt_coefficients(used, s, stats)
        self.updates += 1
        return stats | used | self.diagnostics

    @torch.no_grad()
    def _update_log_std(self, progress: float, score: float | None) -> dict[str, float]:
        """Set how far values spread from now on, unless that is learnt; how far they do.

        After the update: a row's old and new probabilities then differ by what was learnt alone.
        """
        s, free = self.settings, self._get_policy_network().log_std
        if free is None:
            return {}
        if s.log_std_schedule != "learned":
            ends = s.initial_log_std, s.log_std_end
            to = schedule_log_std(s.log_std_schedule, *ends, progress, score, s.log_std_scores)
            free.fill_(free if to is None else to)
        return {"value_spread": float(free.exp().mean())}

    def _update_temperature(self, progress: float) -> dict[str, float]:
        """Set the temperature from now on: after the update, too, which is about what was drawn."""
        s, temperature = self.settings, self._get_policy_network().temperature
        if temperature is None:
            return {}
        kind, ends = s.temperature_schedule, (s.temperature, s.temperature_end)
        return {"temperature": float(temperature.fill_(schedule(kind, *ends, progress)))}

    def _compute_diagnostics(
        self, terms: dict[str, Tensor], params: list[torch.nn.Parameter], seen: Any
    ) -> dict[str, float]:
        """What costs more to find out: each term's gradient, and the network's own condition."""
        # DDP does not let a graph be gone through more than once.
        found = {} if self.distributed else _compute_term_grad_norms(terms, params)
        return found | self._get_policy_network().compute_network_metrics(seen)

    def _get_policy_network(self) -> Any:
        """The policy network itself, out of what RLlib and DDP wrap around it."""
        modules: Any = self.module
        own = modules[DEFAULT_MODULE_ID]
        return own.unwrapped() if self.distributed else own

    def _freeze_reference(self) -> None:
        """Keep a frozen copy of the policy as it is now."""
        self.reference = deepcopy(self._get_policy_network()).requires_grad_(False)

    @torch.no_grad()
    def _compute_reference_columns(self, columns: Columns) -> dict[str, Tensor]:
        """What the frozen copy says about all rows."""
        parts: list[dict[str, Tensor]] = []
        for index in torch.arange(len(columns), device=self._device).split(REFERENCE_CHUNK_ROWS):
            chunk = columns.select(index)
            forward = self.reference._forward(self.algorithm.build_network_inputs(chunk))
            parts.append(self.algorithm.compute_reference_columns(forward, chunk))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _run_epochs(
        self, columns: Columns, algorithm: Any, s: Any, progress: float
    ) -> dict[str, float]:
        """Passes over the rows with an algorithm's (or Cloning's) loss; what they did."""
        modules: Any = self.module
        module = modules[DEFAULT_MODULE_ID]
        steppers: list[Any] = [o for _, o in self.get_optimizers_for_module(DEFAULT_MODULE_ID)]
        # Through DDP when there are several learners; else past RLlib's wrapper, which would walk
        # over all submodules at every step only to say that this is training.
        forward = module if self.distributed else module._forward
        params = self.get_parameters(module)
        size = max(s.minibatch_size // max(s.num_learners, 1), 1)
        for group in (group for stepper in steppers for group in stepper.param_groups):
            group["lr"] = schedule(s.lr_schedule, s.lr, s.lr_end, progress, warmup=s.warmup)
        before = [p.detach().clone() for p in params]
        history: list[dict[str, Tensor]] = []
        norms: list[float] = []
        losses: list[Tensor] = []
        output: Any = None
        batch, together, epoch, enough = columns, 0, 0, False
        while not enough:
            epoch += 1
            batches = split_minibatches(columns, size, self.generator)
            for i, batch in enumerate(batches):
                if i % s.accumulate == 0:
                    together = sum(map(len, batches[i : i + s.accumulate]))
                output = forward(algorithm.build_network_inputs(batch))
                terms = algorithm.compute_loss_terms(output, batch, s, self.coefficients)
                if (
                    epoch == 1
                    and i == len(batches) - 1
                    and self.updates % DIAGNOSTICS_INTERVAL == 0
                ):
                    self.diagnostics = self._compute_diagnostics(
                        terms, params, algorithm.build_network_inputs(batch)
                    )
                loss, share = sum_loss_terms(terms), len(batch) / together
                losses.append(loss.detach())
                # A row counts the same in whichever minibatch of the step it is.
                loss.backward(None if share == 1 else torch.full_like(loss, share))
                if (i + 1) % s.accumulate == 0 or i + 1 == len(batches):
                    norms.append(_step_optimizers(steppers, params, s.grad_clip))
                # Measuring costs as much as a term of the loss: the end of the last epoch says what
                # the update did; other epochs are measured only for an algorithm that asks.
                if epoch == s.epochs and len(batches) - i <= MEASURED_MINIBATCHES:
                    with torch.no_grad():
                        history.append(algorithm.compute_metrics(output, batch, s))
            measure = partial(self._compute_shared_metrics, algorithm, output, batch, s)
            if enough := epoch == s.epochs or algorithm.should_stop_epochs(s, measure):
                history = history or [measure()]
        table = torch.stack([torch.stack(list(measured.values())) for measured in history])
        last = dict(
            zip(history[0], self._average_over_learners(table.mean(0)).tolist(), strict=True)
        )
        return (
            over_choices(last)
            | _summarise_grad_norms(norms, s.grad_clip)
            | {
                "total_loss": float(self._average_over_learners(torch.stack(losses).mean())),
                "update_ratio": _compute_update_ratio(before, params),
                "kl_max": max((float(h["kl"]) for h in history if "kl" in h), default=0.0),
                "lr": steppers[0].param_groups[0]["lr"],
                "grad_clip": s.grad_clip,
                "updates": float(len(norms)),
                "epochs_run": float(epoch),
                SKIPPED_UPDATES: float(sum(not math.isfinite(norm) for norm in norms)),
            }
        )

    @torch.no_grad()
    def _compute_shared_metrics(
        self, algorithm: Any, output: Any, batch: Columns, s: Any
    ) -> dict[str, Tensor]:
        """Measurements that all learners share: they must stop after the same epoch."""
        found = algorithm.compute_metrics(output, batch, s)
        table = self._average_over_learners(torch.stack(list(found.values())))
        return dict(zip(found, table.unbind(), strict=True))

    def _average_over_learners(self, values: Tensor) -> Tensor:
        """Mean over all learners."""
        if self.distributed:
            torch.distributed.all_reduce(values)
            values = values / torch.distributed.get_world_size()
        return values

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
        if components is not None:
            return state  # e.g. the weights alone, which every runner gets
        own = {"coefficients": self.coefficients, "generator": self.generator.get_state().numpy()}
        own |= {"updates": self.updates, "diagnostics": self.diagnostics}
        if self.reference is not None:
            own["reference"] = self.reference.get_state()
        return state | own

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state, older ones too (RLlib ignores weights older than the current ones)."""
        self._weights_seq_no = -1
        super().set_state(state)
        self.coefficients = state.get("coefficients", self.coefficients)
        self.updates = state.get("updates", self.updates)
        self.diagnostics = state.get("diagnostics", self.diagnostics)
        if "generator" in state:
            self.generator.set_state(torch.from_numpy(state["generator"].copy()))
        if "reference" in state:
            self._freeze_reference()
            self.reference.set_state(state["reference"])
        elif "updates" in state:
            self.reference = None  # a state of before the first update: the next one takes it

    def get_parameters(self, module: RLModule) -> list[torch.nn.Parameter]:
        """Trainable parameters only, so that a frozen part costs no optimiser state."""
        return [p for p in module.parameters() if p.requires_grad]  # type: ignore[attr-defined]


def _step_optimizers(
    optimizers: list[Any], params: list[torch.nn.Parameter], grad_clip: float
) -> float:
    """A step along the gradients gathered in the parameters, which are empty then; their norm."""
    norm = _clip_gradients([p.grad for p in params if p.grad is not None], grad_clip)
    # A step on NaN would ruin the network; a health rule ends the run.
    for stepper in optimizers if math.isfinite(norm) else ():
        stepper.step()
    for p in params:
        p.grad = None
    return norm


def _compute_term_grad_norms(
    terms: dict[str, Tensor], params: list[torch.nn.Parameter]
) -> dict[str, float]:
    """The gradient norm of each term of the loss; 0 for one that is detached from the network."""
    norms = dict.fromkeys(terms, 0.0)
    for name, term in terms.items():
        if term.requires_grad:
            found: Any = torch.autograd.grad(
                term.mean(), params, retain_graph=True, allow_unused=True
            )
            each = [
                torch.linalg.vector_norm(gradient) for gradient in found if gradient is not None
            ]
            norms[name] = float(torch.linalg.vector_norm(torch.stack(each)))
    return {f"grad_norm_{name}": norm for name, norm in norms.items()}


def _compute_update_ratio(before: list[Tensor], params: list[torch.nn.Parameter]) -> float:
    """How far the parameters have moved, over their norm."""
    moved = [torch.linalg.vector_norm(p.detach() - b) for p, b in zip(params, before, strict=True)]
    size = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(b) for b in before]))
    return float(torch.linalg.vector_norm(torch.stack(moved)) / size.clamp_min(1e-12))


def _clip_gradients(gradients: list[Tensor], limit: float) -> float:
    """Scale gradients in place to a norm of at most ``limit`` (0: any); their norm before that.

    As ``torch.nn.utils.clip_grad_norm_``, which takes several times longer over one flat gradient.
    """
    each = [torch.linalg.vector_norm(gradient) for gradient in gradients]
    norm = float(each[0] if len(each) == 1 else torch.linalg.vector_norm(torch.stack(each)))
    if limit and norm > limit and math.isfinite(norm):
        for gradient in gradients:
            gradient.mul_(limit / (norm + 1e-6))
    return norm


def _summarise_grad_norms(norms: list[float], grad_clip: float) -> dict[str, float]:
    clipped = sum(norm > grad_clip for norm in norms) / len(norms) if grad_clip else 0.0
    return {
        "grad_norm": sum(norms) / len(norms),
        "grad_norm_max": max(norms),
        "grad_clip_fraction": clipped,
    }
