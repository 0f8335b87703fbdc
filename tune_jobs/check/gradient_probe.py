"""Probe ``gradients``: does each term of the loss have a gradient, for every part of the action?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from algos.actions.head import ActionDistribution
from algos.models.base import PolicyModule
from algos.objective import Objective
from algos.rollouts.columns import Columns
from algos.settings.training import TrainingSettings
from rungwise.validation import InputError
from tune_jobs.check.check_target import CheckTarget, randomise_weights
from tune_jobs.check.findings import SYMPTOMS, TERM_WITHOUT_GRADIENT, ProbeResult
from tune_jobs.check.rollouts import sample_random_play

FORCED_COEF = 0.01
"""Value of a coefficient that the settings leave at 0, so that its term is judged as well."""
MIN_STEPS = 2
"""Minimum number of steps of a rollout."""
STEP = 0.05
"""Standard deviation of the weight perturbation after collecting: the KL of a policy to itself has
no gradient, nor has the entropy of a uniform policy."""
MAX_ENTRIES = 2**25
"""Maximum number of entries of all observations of a rollout."""
MAX_PARTS = 4
"""Maximum number of action parts named in a finding."""


def probe_gradients(target: CheckTarget, seconds: float) -> ProbeResult:
    """Collect a small rollout and compute the gradient of each term of the loss by itself."""
    outcome = ProbeResult()
    if why := target.explain_staged_training():
        outcome.not_judged["gradients"] = why
        return outcome
    settings = _force_coefficients(
        target, target.make_small_settings(length=choose_rollout_length(target, seconds))
    )
    runner = target.make_runner(target.make_config(settings))
    try:
        # Small initial weights give a nearly uniform policy, whose entropy has almost no gradient.
        module = randomise_weights(runner.module, 0.3)
        rows, _ = runner.sample()
    finally:
        runner.stop()
    objective = target.algorithm.objective_class(settings)
    rows, _ = objective.preprocess_batch(rows)
    if not len(rows):
        outcome.not_judged["gradients"] = "the rollout has no row to learn from"
        return outcome
    forward = _pass_rows(objective, module, rows.to_torch("cpu"))
    # Each term by itself: in the sum a term without gradient is invisible.
    norms = {name: _compute_norm(term, module) for name, term in forward.terms.items()}
    outcome.figures = {"rows": len(rows)} | {f"norm_{name}": norm for name, norm in norms.items()}
    for name, norm in norms.items():
        # Exactly zero. A small norm is a matter of scale, an exact zero one of a detached graph.
        if norm == 0 and not _has_no_advantages(name, rows):
            logp_slopes = f"{name}_without_gradient"
            outcome.add_finding(
                logp_slopes if logp_slopes in SYMPTOMS else TERM_WITHOUT_GRADIENT,
                "stop" if name == "policy" else "warn",
                f"the gradient of the {name} term is exactly zero over {len(rows)} rows, with a "
                "coefficient that is not",
            )
        if not np.isfinite(norm):
            outcome.add_finding("not_finite", "stop", f"the gradient of the {name} term is {norm}")
    if parts := forward.find_ignored_parts() if norms.get("policy") else []:
        more = f" and {len(parts) - MAX_PARTS} more" if len(parts) > MAX_PARTS else ""
        outcome.add_finding(
            "action_part_without_gradient",
            "stop",
            f"the policy term has a gradient for the action, but not for its "
            f"{', '.join(parts[:MAX_PARTS])}{more}: it is exactly zero over {len(rows)} rows, "
            "though the log-probability of the actions depends on that part",
        )
    return outcome


def choose_rollout_length(
    target: CheckTarget, seconds: float, copies: int = 8, most: int = 64
) -> int:
    """Return the rollout length that takes at most half of the time and fits into memory."""
    play = sample_random_play(target, seconds)
    size = sum(np.size(part) for part in play.observations[0].values())
    # Half of the time, the rest is for the losses and their derivatives.
    steps = min(play.steps_per_s * seconds / 2, MAX_ENTRIES / max(size, 1)) / copies
    return int(np.clip(steps, MIN_STEPS, most))


def _force_coefficients(target: CheckTarget, settings: TrainingSettings) -> TrainingSettings:
    """Return the settings with a weight for every term that these actions allow."""
    head = target.module.head
    for field in dataclasses.fields(settings):
        if not field.name.endswith("_coef") or getattr(settings, field.name):
            continue
        try:
            changed = dataclasses.replace(settings, **{field.name: FORCED_COEF})
            target.algorithm.objective_class(changed).validate_action_space(head)
        except InputError:
            continue
        # One coefficient at a time, as an algorithm may allow some of them only.
        settings = changed
    target.validate_settings(settings)
    return settings


def _pass_rows(objective: Objective[Any], module: PolicyModule, rows: Columns) -> _ForwardPass:
    """Compute the loss terms of all rows, after moving the policy away from the collecting one."""
    if objective.reference_interval is not None:
        with torch.no_grad():
            inputs = objective.build_network_inputs(rows)
            outputs, value = deepcopy(module).compute_outputs(module.normalise_observations(inputs))
            frozen = {"dist": module.dist(outputs, inputs), "value": value}
            rows = rows.with_columns(**objective.compute_reference_columns(frozen, rows))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight += STEP * torch.randn(weight.shape, generator=generator)
    # After the move: ratio and KL to the collecting policy then have a gradient.
    inputs = objective.build_network_inputs(rows)
    outputs, value = module.compute_outputs(module.normalise_observations(inputs))
    dist = module.dist(outputs, inputs)
    loss = objective.loss({"dist": dist, "value": value}, rows, objective.initialise_coefficients())
    return _ForwardPass(module, inputs, outputs, dist, loss.terms)


@dataclasses.dataclass(frozen=True)
class _ForwardPass:
    """The results of network, head and loss for a batch of rows."""

    module: PolicyModule
    inputs: Mapping[str, Tensor]
    """Network inputs: observations, and the actions taken."""
    outputs: Tensor
    dist: ActionDistribution
    terms: dict[str, Tensor]

    def find_ignored_parts(self) -> list[str]:
        """Return the parts of the action that have a log-probability but no policy gradient.

        A part with a single legal option or a fixed standard deviation affects neither.
        """
        slopes = self._differentiate(self.terms["policy"].mean())
        # Rows without a policy term (zero advantage, clipped ratio) say nothing of the parts.
        used = slopes[0].flatten(1).any(-1)
        if not used.any():  # only a log-std is left, which all rows share
            used[:] = True
        logp_slopes = self._differentiate(
            (self.dist.logp(self.inputs) + self.dist.entropy())[used].sum()
        )
        label = self.module.head.label_outputs
        shaping = label(*logp_slopes)
        return [n for n, part in label(*slopes).items() if shaping[n].any() and not part.any()]

    def _differentiate(self, scalar: Tensor) -> tuple[Tensor, Tensor]:
        """Return the derivatives by the head's inputs: outputs [N, size] and log-stds [free]."""
        free = self.module.log_std
        if free is None or not free.requires_grad:
            # A fixed standard deviation has no parameter, so a placeholder keeps the shapes.
            free = self.outputs.new_zeros(self.module.head.num_log_stds).requires_grad_()
        return torch.autograd.grad(  # pyright: ignore[reportReturnType]
            scalar, (self.outputs, free), retain_graph=True, materialize_grads=True
        )


def _compute_norm(term: Tensor, module: PolicyModule) -> float:
    """Return the norm of a term's gradient; 0 if it is detached from the network."""
    # A detached term would make autograd raise, while it is what the probe looks for.
    if not term.requires_grad:
        return 0.0
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    gradients: Any = torch.autograd.grad(term.mean(), weights, retain_graph=True, allow_unused=True)
    norms = [torch.linalg.vector_norm(part) for part in gradients if part is not None]
    return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else 0.0


def _has_no_advantages(name: str, rows: Columns) -> bool:
    """Return whether the policy term is zero because all advantages are."""
    return name == "policy" and "advantages" in rows and not np.any(np.asarray(rows["advantages"]))
