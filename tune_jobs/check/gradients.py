"""Probe ``gradients``: does each term of the loss pull at the policy, and at all of the action?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from algos.objective import Objective
from envs.validation import InputError
from tune_jobs.check.check_target import CheckTarget, randomise_weights
from tune_jobs.check.findings_catalogue import SYMPTOMS, TERM
from tune_jobs.check.probe_result import ProbeResult
from tune_jobs.check.rollouts import sample_random_play

FORCED = 0.01
"""What a coefficient of 0 is set to, so that its term is looked at too."""
LEAST = 2
"""Steps of a rollout of the slowest environment."""
STEP = 0.05
"""Standard deviation of the step that the weights take after collecting: a KL to oneself has no
gradient, nor has the entropy of a uniform policy."""
ENTRIES = 2**25
"""Of all observations of a rollout, which become that many numbers of a batch."""
SHOWN = 4
"""Parts of an action that are named."""


def probe_gradients(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Collect a small rollout and take each term of the loss alone."""
    outcome = ProbeResult()
    if why := subject.explain_staged_training():
        outcome.not_judged["gradients"] = why
        return outcome
    settings = _force_coefficients(
        subject, subject.make_small_settings(length=choose_rollout_length(subject, seconds))
    )
    runner = subject.make_runner(subject.make_config(settings))
    try:
        module = randomise_weights(runner.module, 0.3)
        rows, _ = runner.sample()
    finally:
        runner.stop()
    objective = subject.algorithm.objective_class(settings)
    rows, _ = objective.preprocess_batch(rows)
    if not len(rows):
        outcome.not_judged["gradients"] = "no row of the rollout had anything to learn from"
        return outcome
    passed = _pass_rows(objective, module, rows.to_torch("cpu"))
    norms = {name: _norm(term, module) for name, term in passed.terms.items()}
    outcome.figures = {"rows": len(rows)} | {f"norm_{name}": norm for name, norm in norms.items()}
    for name, norm in norms.items():
        if norm == 0 and not _nothing_to_pull(name, rows):
            own = f"{name}_without_gradient"
            outcome.add_finding(
                own if own in SYMPTOMS else TERM,
                "stop" if name == "policy" else "warn",
                f"the gradient of the {name} term is exactly zero over {len(rows)} rows, with a "
                "coefficient that is not",
            )
        if not np.isfinite(norm):
            outcome.add_finding("not_finite", "stop", f"the gradient of the {name} term is {norm}")
    if parts := passed.unheard() if norms.get("policy") else []:
        more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
        outcome.add_finding(
            "action_part_without_gradient",
            "stop",
            f"the policy term pulls at the action, but not at its {', '.join(parts[:SHOWN])}"
            f"{more}: the gradient there is exactly zero over {len(rows)} rows, though the "
            "log-probability of the actions that were done depends on it",
        )
    return outcome


def choose_rollout_length(
    subject: CheckTarget, seconds: float, copies: int = 8, most: int = 64
) -> int:
    """Steps of a rollout for which half of the time suffices, and the memory for what is seen."""
    seen = sample_random_play(subject, seconds)
    size = sum(np.size(part) for part in seen.observations[0].values())
    steps = min(seen.steps_per_s * seconds / 2, ENTRIES / max(size, 1)) / copies
    return int(np.clip(steps, LEAST, most))


def _force_coefficients(subject: CheckTarget, settings: Any) -> Any:
    """The settings with a weight for every term that goes with these actions."""
    head = subject.module.head
    for field in dataclasses.fields(settings):
        if not field.name.endswith("_coef") or getattr(settings, field.name):
            continue
        try:
            changed = dataclasses.replace(settings, **{field.name: FORCED})
            subject.algorithm.objective_class(changed).validate_action_space(head)
        except InputError:
            continue
        settings = changed
    objective = subject.algorithm.objective_class(settings)
    objective.validate_action_space(head)
    objective.validate_world(subject.world, subject.env)
    return settings


def _pass_rows(objective: Objective[Any], module: Any, rows: Any) -> _ForwardPass:
    """All rows passed through, after the policy has moved away from the one that collected."""
    if objective.reference_interval is not None:
        with torch.no_grad():
            frozen = deepcopy(module)._forward(objective.build_network_inputs(rows))
            rows = rows.with_columns(**objective.compute_reference_columns(frozen, rows))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight += STEP * torch.randn(weight.shape, generator=generator)
    seen = objective.build_network_inputs(rows)
    outputs, value = module.compute_outputs(seen)
    dist = module.dist(outputs, seen)
    loss = objective.loss({"dist": dist, "value": value}, rows, objective.initialise_coefficients())
    return _ForwardPass(module, seen, outputs, dist, loss.terms)


@dataclasses.dataclass(frozen=True)
class _ForwardPass:
    """Rows passed through network, head and loss."""

    module: Any
    seen: Mapping[str, Tensor]
    """What the network was given: observations, and the actions that were done."""
    outputs: Tensor
    dist: Any
    terms: dict[str, Tensor]

    def unheard(self) -> list[str]:
        """Parts of the action that shape its log-probability and not the policy's own term.

        A part with a single option (as many a mask leaves) or a fixed spread shapes neither.
        """
        pull = self._slopes(self.terms["policy"].mean())
        heard = pull[0].flatten(1).any(-1)
        if not heard.any():  # what is left is a spread, which no row has for itself
            heard[:] = True
        own = self._slopes((self.dist.logp(self.seen) + self.dist.entropy())[heard].sum())
        named = self.module.head.label_outputs
        shaping = named(*own)
        return [n for n, part in named(*pull).items() if shaping[n].any() and not part.any()]

    def _slopes(self, scalar: Tensor) -> tuple[Tensor, Tensor]:
        """The derivatives by the numbers of the head: outputs [N, size] and free [free]."""
        free = self.module.log_std
        if free is None or not free.requires_grad:
            free = self.outputs.new_zeros(self.module.head.num_log_stds).requires_grad_()
        return torch.autograd.grad(  # pyright: ignore[reportReturnType]
            scalar, (self.outputs, free), retain_graph=True, materialize_grads=True
        )


def _norm(term: Any, module: Any) -> float:
    """The norm of a term's gradient; 0 for one that is detached from the network."""
    if not term.requires_grad:
        return 0.0
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    found: Any = torch.autograd.grad(term.mean(), weights, retain_graph=True, allow_unused=True)
    norms = [torch.linalg.vector_norm(part) for part in found if part is not None]
    return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else 0.0


def _nothing_to_pull(name: str, rows: Any) -> bool:
    """Whether the policy's own term is zero for want of advantages."""
    return name == "policy" and "advantages" in rows and not np.any(np.asarray(rows["advantages"]))
