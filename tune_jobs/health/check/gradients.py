"""Probe ``gradients``: does each term of the loss pull at the policy?"""

from __future__ import annotations

import dataclasses
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from envs.validation import InputError
from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.random_play import sample
from tune_jobs.health.check.subject import Subject, spread
from tune_jobs.health.finding import Severity

FORCED = 0.01
"""What a coefficient of 0 is set to, so that its term is looked at too."""
STEP = 0.05
"""Standard deviation of the step that the weights take after collecting: a KL to oneself has no
gradient, nor has the entropy of a uniform policy."""
REMEDY = (
    "Compute the term from the network's output inside `terms`, without `detach`, `no_grad` or a "
    "detour through numpy; or set its coefficient to 0."
)


def gradients(subject: Subject, seconds: float) -> Outcome:
    """Collect a small rollout and take each term of the loss alone."""
    outcome = Outcome()
    if why := subject.staged():
        outcome.not_judged["gradients"] = why
        return outcome
    settings = _forced(subject, subject.small(length=length_of(subject, seconds)))
    runner = subject.runner(subject.config(settings))
    try:
        module = spread(runner.module, 0.3)
        rows, _ = runner.sample()
    finally:
        runner.stop()
    rows, _ = subject.algorithm.prepare(rows, settings)
    if not len(rows):
        outcome.not_judged["gradients"] = "no row of the rollout had anything to learn from"
        return outcome
    terms = _terms(subject.algorithm, settings, module, rows.torch("cpu"))
    norms = {name: _norm(term, module) for name, term in terms.items()}
    outcome.figures = {"rows": len(rows)} | {f"norm_{name}": norm for name, norm in norms.items()}
    for name, norm in norms.items():
        if norm == 0 and not _nothing_to_pull(name, rows):
            severity: Severity = "stop" if name == "policy" else "warn"
            outcome.find(
                f"{name}_without_gradient",
                severity,
                f"the gradient of the {name} term is exactly zero over {len(rows)} rows, with a "
                "coefficient that is not",
                REMEDY,
            )
        if not np.isfinite(norm):
            evidence = f"the gradient of the {name} term is {norm}"
            outcome.find("not_finite", "stop", evidence, "Look for infinite advantages or rewards.")
    return outcome


def length_of(subject: Subject, seconds: float, copies: int = 8, most: int = 64) -> int:
    """Steps of a rollout that half of the time suffices for."""
    steps = sample(subject, seconds).speed * seconds / 2 / copies
    return int(np.clip(steps, 8, most))


def _forced(subject: Subject, settings: Any) -> Any:
    """The settings with a weight for every term that goes with these actions."""
    head = subject.module.head
    for field in dataclasses.fields(settings):
        if not field.name.endswith("_coef") or getattr(settings, field.name):
            continue
        try:
            changed = dataclasses.replace(settings, **{field.name: FORCED})
            subject.algorithm.suits(changed, head)
        except InputError:
            continue
        settings = changed
    subject.algorithm.suits(settings, head)
    return settings


def _terms(algorithm: Any, settings: Any, module: Any, rows: Any) -> dict[str, Any]:
    """The terms for all rows, after the policy has moved away from the one that collected."""
    if algorithm.reference_every(settings) is not None:
        with torch.no_grad():
            frozen = deepcopy(module)._forward(algorithm.inputs(rows))
            rows = rows.with_columns(**algorithm.referenced(frozen, rows))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight += STEP * torch.randn(weight.shape, generator=generator)
    coefficients = algorithm.initial_coefficients(settings)
    return algorithm.terms(module._forward(algorithm.inputs(rows)), rows, settings, coefficients)


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
