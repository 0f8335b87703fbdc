"""The columnar Learner: minibatches by index, one optimiser step each, one flush of metrics.

RLlib's own update shuffles and slices whole batches, logs eight metrics per minibatch and tests
every gradient twice. This one keeps LearnerGroup (several learners, GPUs, checkpoints) and replaces
the loop inside ``update``, as RLlib documents. The loss is a pure function of the objective.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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

from algos.actions.topk import log_probabilities
from algos.learning.behaviour_cloning import BehaviourCloning
from algos.learning.gradients import (
    TrainedParts,
    average_gradients,
    compute_term_grad_norms,
    compute_update_ratio,
    step_optimisers,
)
from algos.learning.optimisers import keep_settings, make_optimisers, select_loadable, suspend_state
from algos.learning.quick_gradients import Minibatch, QuickGradients
from algos.learning.scheduled_noise import update_noise
from algos.learning.update_log import (
    MEASURED_MINIBATCHES,
    UpdateLog,
    average_over_learners,
    measure_loss,
)
from algos.losses import sum_loss_terms
from algos.models.memory import SEQUENCE_START
from algos.models.mlp import MLPPolicy
from algos.objective import Loss, Objective
from algos.rollouts.columns import Columns
from algos.rollouts.sequences import cut_sequences, split_in_order, split_rows
from algos.schedules import schedule_update

PROGRESS = "progress"
"""Key of ``timesteps``: the fraction of the budget spent when this update is done; of the warm
start, which spends nothing of it, when it begins."""
SCORE = "score"
"""Key of ``timesteps``: the mean score of the episodes behind this update; None without any."""
CLONE = "clone"
"""Key of ``timesteps``: true for the warm start, which imitates the rows."""
CHUNK_ROWS = 4096
"""Rows of one forward pass without gradients."""
DIAGNOSTICS_INTERVAL = 4
"""Updates between diagnostics of terms and network, which cost as much as a minibatch."""


class ColumnLearner(TorchLearner):
    """RLlib's Learner, running an objective over shuffled minibatches of :class:`Columns`."""

    def build(self) -> None:
        """Create network, optimiser, random generator and the algorithm's coefficients."""
        config: Any = self.config  # ours; see ColumnConfig
        self.objective: Objective[Any] = config.make_objective()
        self.coefficients = self.objective.initialise_coefficients()
        self.generator = torch.Generator().manual_seed(
            (self.config.seed or 0) + self._learner_index
        )
        self.updates = 0
        self.diagnostics: dict[str, float] = {}
        self.reference: Any = None
        self.quick_gradients = QuickGradients()
        super().build()
        # RLlib's seeding asks for deterministic operations, under which torch also fills all memory
        # that is about to be written: a twentieth of the update of a network without NumPy.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

    def configure_optimizers_for_module(self, module_id: str, config: object = None) -> None:
        """Create the optimisers that the settings name; each update sets their learning rate."""
        modules, s = self._module, self.objective.settings
        params = self.get_parameters(modules[module_id])  # type: ignore[index]
        optimisers = make_optimisers(s.optimiser, params, s.lr, s.weight_decay)
        for name, (optimiser, group) in optimisers.items():
            self.register_optimizer(
                module_id=module_id, optimizer_name=name, optimizer=optimiser, params=group
            )

    def update(
        self,
        *args: object,
        training_data: TrainingData | None = None,
        timesteps: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> dict[str, dict[str, float]]:
        """Update the network on ``training_data.batch``, a :class:`Columns` of numpy arrays.

        Returns:
            The update's metrics under the module's id, as numbers: RLlib's statistics of them cost
            as much as several minibatches.
        """
        self._check_is_built()
        timesteps = timesteps or {}
        self.before_gradient_based_update(timesteps=timesteps)
        if training_data is None:
            raise ValueError("Give ColumnLearner.update TrainingData(batch=columns).")
        training_data.validate()
        training_data.solve_refs()
        progress = float(timesteps[PROGRESS])
        batch: Any = training_data.batch  # Columns; RLlib's hint knows only its own batch
        columns: Columns = batch.to_torch(self._device)
        config: Any = self.config  # ours; see ColumnConfig
        s, clone = self.objective.settings, timesteps.get(CLONE)
        begin = progress - (0 if clone else 1 / config.total_iterations)
        # Imitation has no warm-up: that is for what follows, and may be longer than it.
        end = 1.0 if clone else progress
        lr = schedule_update(s.lr_schedule, s.lr, s.lr_end, begin, end, warmup=s.warmup)
        if clone:
            # The limit is for updates from the policy's own rows; imitation may move it freely.
            cloning = BehaviourCloning(replace(s, epochs=s.warm_start_epochs, kl_limit=0.0))
            self._measure_first_observations(columns, cloning)
            with suspend_state(self._named_optimizers.values()):
                stats = self._run_epochs(columns, cloning, lr)
        else:
            stats = self._update_policy(columns, progress, lr)
            stats |= update_noise(progress, timesteps.get(SCORE), self)
        self._weights_seq_no += 1
        self.after_gradient_based_update(timesteps=timesteps)
        return {DEFAULT_MODULE_ID: stats}

    def _update_policy(self, columns: Columns, progress: float, lr: float) -> dict[str, float]:
        """Update the policy by the algorithm's objective; return metrics and coefficients."""
        objective = self.objective
        if SEQUENCE_START in columns:
            # Once for all that is computed of these rows: the states of the first rollout are those
            # of a policy without statistics, so another cut would be another policy.
            columns = cut_sequences(columns, objective.settings.sequence_length)
        first = self._measure_first_observations(columns, objective)
        if first:
            columns = columns.with_columns(**self._compute_logps(columns))
        columns = self._standardise_returns(columns)
        self.coefficients = objective.schedule_coefficients(self.coefficients, progress)
        # Before the first update the reference is the initial policy, whatever the interval is.
        interval = objective.reference_interval
        if interval is not None:
            if self.reference is None or (interval and self.updates % interval == 0):
                self._freeze_reference()
            compute = objective.compute_reference_columns
            reference_columns = self._compute_in_chunks(self.reference, columns, compute)
            columns = columns.with_columns(**reference_columns)
        # Reported are the coefficients that this update used, not the adapted ones.
        used = self.coefficients
        stats = self._run_epochs(columns, objective, lr)
        self.coefficients = objective.adapt_coefficients(used, stats)
        self.updates += 1
        if not first:
            # After the epochs: the next rollout is the first to see these rows in the statistics.
            self._measure_observations(columns, objective)
        return stats | used | self.diagnostics

    def _measure_observations(self, columns: Columns, objective: Objective[Any]) -> None:
        """Add the rows' observations to the statistics, where the policy normalises any."""
        normaliser = self._get_policy_network().observation_normaliser
        if normaliser is not None:
            normaliser.update(objective.build_network_inputs(columns), self._sum_over_learners)

    def _measure_first_observations(self, columns: Columns, objective: Objective[Any]) -> bool:
        """Do the same if there are no statistics yet; return whether there were none."""
        normaliser = self._get_policy_network().observation_normaliser
        empty = normaliser is not None and normaliser.is_empty
        if empty:
            self._measure_observations(columns, objective)
        return empty

    def _standardise_returns(self, columns: Columns) -> Columns:
        """Return the rows with returns in units of the critic, after adding them to its moments."""
        moments = self._get_policy_network().return_moments
        if moments is None:
            return columns
        moments.update(columns["returns"], self._sum_over_learners)
        return columns.with_columns(returns=moments.standardise(columns["returns"]))

    def _compute_logps(self, columns: Columns) -> dict[str, Tensor]:
        """Compute the log-probabilities of collected actions [N] by the policy as it is now.

        The first rollout was collected without statistics: with them the same weights are another
        policy, whose ratio to itself has to be 1. Episodes and pairs are not learnt from by ratios.
        """
        if not isinstance(columns.get("logp"), Tensor):
            return {}
        network = self._get_policy_network()
        return self._compute_in_chunks(
            network, columns, lambda forward, chunk: log_probabilities(forward["dist"], chunk)
        )

    def _compute_diagnostics(
        self, terms: dict[str, Tensor], params: list[torch.nn.Parameter], inputs: Mapping[str, Any]
    ) -> dict[str, float]:
        """Compute what is too costly for every update: each term's gradient, network metrics."""
        # DDP permits one backward pass through a graph, and this would be another.
        norms = {} if self.distributed else compute_term_grad_norms(terms, params)
        return norms | self._get_policy_network().compute_network_metrics(inputs)

    def _get_policy_network(self) -> Any:
        """Return the policy network without what RLlib and DDP wrap around it."""
        network = self.module[DEFAULT_MODULE_ID]  # type: ignore[index]
        return network.unwrapped() if self.distributed else network

    def _freeze_reference(self) -> None:
        """Keep a frozen copy of the policy as it is now."""
        self.reference = deepcopy(self._get_policy_network()).requires_grad_(False)

    @torch.no_grad()
    def _compute_in_chunks(
        self,
        network: Any,
        columns: Columns,
        compute: Callable[[Mapping[str, Any], Columns], dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """Compute columns [N] from the network's output for all rows."""
        # In chunks: all rows at once would need the activations of the whole iteration.
        parts: list[dict[str, Tensor]] = []
        for index in split_in_order(columns, CHUNK_ROWS, self._device):
            chunk = columns.select(index)
            forward = network._forward(self.objective.build_network_inputs(chunk))
            parts.append(compute(forward, chunk))
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _run_epochs(
        self, columns: Columns, objective: Objective[Any], lr: float
    ) -> dict[str, float]:
        """Pass over the rows [N] until the objective stops; return the update's metrics."""
        s, log, trained = objective.settings, UpdateLog(), self._get_trained_parts(objective)
        for group in (g for optimiser in trained.optimisers for g in optimiser.param_groups):
            group["lr"] = lr
        initial_params = [p.detach().clone() for p in trained.params]  # for the update ratio
        rows = columns.to_numpy() if trained.on_numpy else columns
        # Each learner has its share of the rows and takes its share of every minibatch.
        size, stop = max(s.minibatch_size // max(s.num_learners, 1), 1), False
        while not stop:
            log.epochs += 1
            loss, batches = None, split_rows(rows, size, self.generator)
            for i, batch in enumerate(batches):
                is_last, start = i + 1 == len(batches), i - i % s.accumulate
                # The step's rows are known before its gradients: each is weighted by its share.
                share = len(batch) / sum(map(len, batches[start : start + s.accumulate]))
                network = self._get_policy_network()
                minibatch = Minibatch(network, objective, batch, self.coefficients, share)
                diagnose = is_last and log.epochs == 1 and self.updates % DIAGNOSTICS_INTERVAL == 0
                # It costs as much as a term of the loss, and the last epoch shows what was done.
                measured = log.epochs == s.epochs and len(batches) - i <= MEASURED_MINIBATCHES
                differentiate = partial(self._differentiate, minibatch, trained, diagnose)
                loss = self.quick_gradients.accumulate(
                    differentiate,
                    minibatch,
                    trained,
                    compare=diagnose,
                    measured=measured,
                    is_last=is_last,
                )
                if is_last or (i + 1) % s.accumulate == 0:
                    self._step(trained, s.grad_clip, log, diagnose)
                if loss and measured:
                    log.record(measure_loss(loss), len(batch))
            # The last epoch is measured anyway; an earlier one only if it may be the last.
            stop = log.epochs == s.epochs
            if loss and not stop:
                measure = partial(self._measure_together, loss, len(batches[-1]))
                stop = objective.should_stop_epochs(measure)
            if loss and stop and not log.metrics:
                log.record(measure_loss(loss), len(batches[-1]))
        return log.summarise(s.grad_clip, self._sum_over_learners) | {
            "update_ratio": compute_update_ratio(initial_params, trained.params),
            "lr": trained.optimisers[0].param_groups[0]["lr"],
        }

    def _differentiate(self, minibatch: Minibatch, trained: TrainedParts, diagnose: bool) -> Loss:
        """Add a minibatch's gradient to the parameters by autograd; return its loss."""
        objective, batch = minibatch.objective, minibatch.batch.to_torch(self._device)
        inputs = objective.build_network_inputs(batch)
        loss = objective.loss(trained.forward(inputs), batch, minibatch.coefficients)
        if diagnose:  # before the backward pass, which frees the graph
            self.diagnostics = self._compute_diagnostics(loss.terms, trained.params, inputs)
        total, share = sum_loss_terms(loss.terms), minibatch.fraction
        # Weighted by rows, so that a row counts the same in whichever minibatch of a step it is.
        total.backward(None if share == 1 else torch.full_like(total, share))
        return loss

    def _step(
        self, trained: TrainedParts, grad_clip: float, log: UpdateLog, diagnose: bool
    ) -> None:
        """Step along the gradients of all learners, and clear them."""
        if self.distributed:
            average_gradients(trained.params, self._average_over_learners)
        if diagnose:  # before the step, which clears the gradients
            self.diagnostics |= self._get_policy_network().compute_part_grad_norms()
        log.grad_norms.append(step_optimisers(trained, grad_clip))

    def _measure_together(self, loss: Loss, rows: int) -> dict[str, Tensor]:
        """Average a minibatch's metrics over learners, which must stop after the same epoch."""
        metrics = measure_loss(loss)
        table, _ = average_over_learners([metrics], [rows], self._sum_over_learners)
        return dict(zip(metrics, table[0].unbind(), strict=True))

    def _get_trained_parts(self, objective: Objective[Any]) -> TrainedParts:
        """Return the policy's forward pass, parameters and optimisers, and which path is taken."""
        module: Any = self.module[DEFAULT_MODULE_ID]  # type: ignore[index]
        # Past RLlib's wrapper, which would walk over all submodules at every step only to switch
        # them to training mode, and past DDP, which breaks where a loss leaves parameters out.
        forward = module.unwrapped()._forward
        optimisers: list[Any] = [o for _, o in self.get_optimizers_for_module(DEFAULT_MODULE_ID)]
        network = self._get_policy_network()
        on_numpy = not self.distributed and isinstance(network, MLPPolicy) and network.on_numpy
        return TrainedParts(forward, self.get_parameters(module), optimisers, on_numpy)

    def _average_over_learners(self, values: Tensor) -> Tensor:
        """Return the mean over all learners."""
        if self.distributed:
            values = self._sum_over_learners(values) / torch.distributed.get_world_size()
        return values

    def _sum_over_learners(self, values: Tensor) -> Tensor:
        """Return the sum over all learners."""
        if self.distributed:
            # In place and blocking: every learner must make the same calls in the same order.
            torch.distributed.all_reduce(values)
        return values

    def compute_loss_for_module(self, **kwargs: object) -> Tensor:
        """Raise: RLlib requires this hook, but ``update`` calls the objective's loss."""
        raise NotImplementedError("ColumnLearner takes its loss from the algorithm.")

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: object,
    ) -> dict[str, Any]:
        """Return RLlib's state with coefficients and the random generator, which it leaves out."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if components is not None:
            return state  # e.g. the weights alone, which every runner gets
        extra = {"coefficients": self.coefficients, "updates": self.updates}
        extra |= {"generator": self.generator.get_state().numpy(), "diagnostics": self.diagnostics}
        if self.reference is not None:
            extra["reference"] = self.reference.get_state()
        return state | extra

    def set_state(self, state: dict[str, Any]) -> None:
        """Load a state, even an older one (RLlib ignores weights older than the current ones)."""
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

    def _set_optimizer_state(self, state: dict[str, Any]) -> None:
        optimisers = self._named_optimizers
        with keep_settings(optimisers):
            super()._set_optimizer_state(select_loadable(optimisers, state))

    def get_parameters(self, module: RLModule) -> list[torch.nn.Parameter]:
        """Return the trainable parameters: a frozen part costs no optimiser state."""
        return [p for p in module.parameters() if p.requires_grad]  # type: ignore[attr-defined]
