"""Bonuses on entropy and diversity as terms of a loss, and entropy metrics: pure functions."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from algos.actions.head import ActionDistribution
from algos.actions.topk import TopK, entropy_per_choice

CHOICE_STEPS = "choice_step_fraction"
"""Metric: the share of rows in which at least two actions are legal."""


def marginal_entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Return the entropy in nats of choice probabilities [B, A] averaged over the batch.

    A policy may be certain in each state and still use all choices; this is large then, and zero
    only when it takes the same choice everywhere (the concentration seen in causal learning).

    >>> marginal_entropy(torch.eye(2))
    tensor(0.6931)
    """
    mean = probabilities.mean(0)
    return -(mean * mean.clamp_min(1e-12).log()).sum()


def compute_exploration_terms(
    dist: ActionDistribution | TopK,
    entropy_coef: float,
    diversity_coef: float,
    *,
    scalar: bool = False,
) -> dict[str, torch.Tensor]:
    """Return the weighted bonuses on entropy and diversity, as terms of a loss.

    Args:
        dist: the actions of N steps.
        entropy_coef: weight of the entropy of each step.
        diversity_coef: weight of the entropy of the choices averaged over the N steps.
        scalar: whether the entropy is averaged over the steps, for a loss whose rows are episodes
            or pairs; otherwise it is per step ``[N]``.
    """
    terms = dict[str, torch.Tensor]()
    # The graph of a term without weight would cost a tenth of the update, for nothing.
    if entropy_coef:
        entropy = entropy_per_choice(dist)
        terms["entropy"] = -entropy_coef * (entropy.mean() if scalar else entropy)
    # None for picks in several rows, whose action space refuses the weight.
    if diversity_coef and (probabilities := dist.choice_probabilities()) is not None:
        terms["diversity"] = -diversity_coef * marginal_entropy(probabilities)
    return terms


def compute_entropy_metrics(dist: ActionDistribution) -> dict[str, torch.Tensor]:
    """Return the entropy metrics of a batch: scalars by their names in ``metrics.py``.

    Where a largest entropy is known, these are means over all rows in which forced moves count 0,
    so that they can be averaged over minibatches and learners; :func:`over_choices` turns the
    averages into the reported metrics.
    """
    entropy, metrics = dist.entropy(), dict[str, torch.Tensor]()
    if (highest := dist.max_entropy()) is not None:
        free = (highest > 0).to(entropy.dtype)  # of a single legal action it is ln 1
        entropy = entropy * free
        metrics["entropy_normalised"] = (entropy / highest.clamp_min(1e-6)).mean()
        metrics[CHOICE_STEPS] = free.mean()
    metrics["entropy"] = entropy.mean()
    if (probabilities := dist.choice_probabilities()) is not None:
        metrics["choice_entropy"] = marginal_entropy(probabilities)
    return metrics


def over_choices(metrics: Mapping[str, float]) -> dict[str, float]:
    """Turn averaged entropy metrics into means over the rows that had a choice.

    Without any such row no entropy is reported: a policy without a choice is not certain of one.

    >>> over_choices({"entropy": 0.25, "choice_step_fraction": 0.5})
    {'choice_step_fraction': 0.5, 'entropy': 0.5}
    """
    share = metrics.get(CHOICE_STEPS, 1.0)
    entropies = {n: metrics[n] for n in ("entropy", "entropy_normalised") if n in metrics}
    rest = {name: value for name, value in metrics.items() if name not in entropies}
    return rest | {name: value / share for name, value in entropies.items() if share}
