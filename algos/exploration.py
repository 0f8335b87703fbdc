"""Keeping a policy from settling too early: pure functions."""

from __future__ import annotations

import torch

from algos.distributions import Dist


def adapted_entropy_coef(
    coef: float, entropy: float, target: float, *, rate: float = 0.1, high: float = 10.0
) -> float:
    """The entropy coefficient for the next update, steering the entropy towards a target.

    A multiplicative controller: the coefficient grows while the entropy (normalised, 0 to 1) is
    below the target and shrinks while it is above. It never reaches zero, so that it can recover.
    """
    factor = 1 + rate if entropy < target else 1 / (1 + rate)
    return min(max(coef * factor, 1e-6), high)


def adapted_kl_coef(coef: float, kl: float, target: float) -> float:
    """The KL coefficient for the next update (Schulman et al. 2017, section 4)."""
    if kl > 1.5 * target:
        coef *= 2
    elif kl < target / 1.5:
        coef /= 2
    return min(max(coef, 1e-6), 1e3)


def marginal_entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Choice probabilities [B, A] -> entropy in nats of their mean over the batch, a scalar.

    A policy may be certain in each state and still use all choices; this is large then, and zero
    only when it takes the same choice everywhere (the concentration seen in causal learning).
    """
    mean = probabilities.mean(0)
    return -(mean * mean.clamp_min(1e-12).log()).sum()


def entropies(dist: Dist) -> dict[str, torch.Tensor]:
    """How undecided a policy is over a batch: scalars by their names in ``metrics.py``."""
    entropy = dist.entropy()
    found = {"entropy": entropy.mean()}
    if (highest := dist.max_entropy()) is not None:
        found["entropy_normalised"] = (entropy / highest.clamp_min(1e-6)).mean()
    if (probabilities := dist.choice_probabilities()) is not None:
        found["choice_entropy"] = marginal_entropy(probabilities)
    return found
