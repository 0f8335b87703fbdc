"""Reward terms of CausalLearning: the gain in knowledge, and the post-mortem's bonuses.

Every term is reported, 0 if it has no weight, so that its cost can be seen.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np

from envs.causal.learning.metric import Risk
from envs.contract.pytree import Bools, Floats, Ints
from rungwise.validation import Between, Fraction, NonNegative, validate

# Below this, rounding of the excess risk would decide the reward of late steps.
_FLOOR = 1e-6


@dataclasses.dataclass(frozen=True)
class RewardTerms:
    """Weights of the reward's terms; 0 leaves a term out."""

    log_gain: Annotated[float, NonNegative] = 1.0
    """Times log excess risk before minus after: scale-free, so late steps still count."""
    improvement: Annotated[float, NonNegative] = 0.0
    """Times the fall of the post-mortem's loss (the post-mortem: 100)."""
    concentration: Annotated[float, NonNegative] = 0.0
    """Penalty times the share of the commonest recent choice beyond the limit (200)."""
    concentration_limit: Annotated[float, Fraction] = 0.4
    """The share of one choice up to which nothing is taken off."""
    coverage: Annotated[float, NonNegative] = 0.0
    """Times the number of different nodes among the recent choices (10)."""
    undersampled: Annotated[float, NonNegative] = 0.0
    """Bonus times how far the chosen node's share lies below an equal share (200)."""
    diversity_threshold: Annotated[float, Fraction] = 0.6
    """The bonus is paid only while the recent choices' entropy, over its maximum, is below this."""
    window: Annotated[int, Between(1, 10_000)] = 100
    """How many choices count as recent; all belong to the same episode."""
    postmortem: bool = False
    """Whether the weights left at their defaults are those of the post-mortem, in brackets above
    (and 0 for log_gain)."""

    def __post_init__(self) -> None:
        validate(self, "reward")
        for name, weight in _POSTMORTEM.items() if self.postmortem else ():
            if getattr(self, name) == getattr(type(self), name):
                # Frozen, so it is set the way the dataclass's own constructor sets it.
                object.__setattr__(self, name, weight)


_POSTMORTEM = {
    **{"log_gain": 0.0, "improvement": 100.0, "concentration": 200.0},
    **{"coverage": 10.0, "undersampled": 200.0},
}
"""The weights of the post-mortem's own proposal."""


def compute_rewards(
    terms: RewardTerms, before: Risk, after: Risk, recent: Ints, real: Bools, chosen: Ints
) -> Floats:
    """Compute the weighted reward terms [B, 5] in the order of ``NAMES``.

    Args:
        terms: the weights.
        before: the risk before the intervention.
        after: the risk after it.
        recent: [B, window] the recent choices, this one included, -1 for none.
        real: [C, n] which nodes there are; others fill up smaller models.
        chosen: [B] the node chosen now.
    """
    fallen = before.postmortem - after.postmortem
    gains = (
        terms.log_gain * compute_log_fall(before.excess, after.excess),
        terms.improvement * fallen,
    )
    return np.stack((*gains, *compute_bonuses(terms, recent, real, chosen)), axis=1)


def compute_log_fall(before: Floats, after: Floats) -> Floats:
    """Return the fall [B] of the logarithm of a loss; losses below a floor count as the floor."""
    unknown = np.maximum(np.stack((before, after)), _FLOOR)
    return np.log(unknown[0]) - np.log(unknown[1])


def compute_bonuses(
    terms: RewardTerms, recent: Ints, real: Bools, chosen: Ints
) -> tuple[Floats, ...]:
    """Compute the three terms [B] that depend on the recent choices [B, window] alone."""
    # The default gives none of them a weight.
    if not (terms.concentration or terms.coverage or terms.undersampled):
        return (np.zeros(len(chosen)),) * 3
    counts = count_choices(recent, real.shape[1])
    share, size = compute_shares(counts, real), real.sum(axis=1)
    # Penalises the share beyond the limit, so that a policy within it is not affected.
    crowded = np.maximum(share.max(axis=1) - terms.concentration_limit, 0)
    missing = np.maximum(1 / size - share[np.arange(len(share)), chosen], 0)
    # Without this the bonus would be paid where the choices are already even.
    monotonous = compute_diversity(counts, real) < terms.diversity_threshold
    return (
        -terms.concentration * crowded,
        terms.coverage * (counts > 0).sum(axis=1),
        terms.undersampled * missing * monotonous,
    )


NAMES = ("log_gain", "improvement", "concentration", "coverage", "undersampled")
"""The terms in order; the first two are the gain in knowledge, the others bonuses on top of it."""


def remember_choices(recent: Ints, step: Ints, chosen: Ints) -> Ints:
    """Return recent choices [B, window] with those of a step [B] in place of the oldest."""
    recent = recent.copy()
    # A ring buffer by step: no state but the step number is needed.
    recent[np.arange(len(step)), step % recent.shape[1]] = chosen
    return recent


def count_choices(recent: Ints, n: int) -> Ints:
    """Count each of n nodes among recent choices [B, window], -1 for none: [B, n].

    >>> count_choices(np.array([[0, 2, 2, -1]]), 3).tolist()
    [[1, 0, 2]]
    """
    # The filler -1 equals no node, so it counts nowhere.
    return (recent[:, :, None] == np.arange(n)).sum(axis=1)


def compute_shares(counts: Ints, real: Bools) -> Floats:
    """Return the shares [B, n] of choices counted [B, n] among the real nodes [C, n].

    The divisor is at least the number of nodes: otherwise each of the first few choices would be a
    large share.
    """
    size = real.sum(axis=1, keepdims=True)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), size)


def compute_diversity(counts: Ints, real: Bools) -> Floats:
    """Return the entropy [B] of choices counted [B, n] over its maximum for real nodes [C, n]."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # log(1) = 0 stands for 0 log 0, which numpy would make NaN.
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
    # At least two nodes: the maximum entropy of one is 0.
    return entropy / np.log(np.maximum(real.sum(axis=1), 2))
