"""Log-probability and entropy of actions with their gradients in closed form, on numpy arrays.

What autograd would find of ``distributions.py``, without the calls that it takes to find it: of a
minibatch of a small network those are most of the time. Each class scores stored actions once, and
then *pulls* derivatives back through the scores: given those by log-probability and by entropy it
returns those by the network's outputs. The tests compare each with autograd.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np

from algos.actions.action_heads import (
    ActionHead,
    BoxHead,
    ChoiceWithValueHead,
    DiscreteHead,
    MultiDiscreteHead,
    ProductHead,
)
from algos.actions.array_backend import log_softmax
from algos.actions.distributions import (
    ILLEGAL_LOGIT,
    LOG_STD_LIMITS,
    BinnedValue,
    select_part_columns,
)

Array: TypeAlias = np.ndarray[Any, Any]


class Scores(Protocol):
    """N stored actions, scored under as many distributions."""

    logp: Array
    """Log-probability (density) of each action ``[N]``."""

    @property
    def entropy(self) -> Array:
        """Entropy of each distribution ``[N]``."""
        ...

    def pull(self, by_logp: Array, by_entropy: float | Array) -> tuple[Array, Array]:
        """Return the derivatives of outputs ``[N, size]`` and of log standard deviations ``[L]``.

        Args:
            by_logp: derivatives by the log-probabilities ``[N]``.
            by_entropy: those by the entropies ``[N]``, or one number for all of them.
        """
        ...


NO_SPREAD = np.zeros(0, np.float32)
"""Derivatives of the log standard deviations where there are none."""


class CategoricalScores:
    """Choices ``[N]`` under logits ``[N, A]``."""

    def __init__(self, logits: Array, choice: Array) -> None:
        self.logs, self.choice = log_softmax(logits), choice
        self.rows = np.arange(len(choice))
        self.logp = self.logs[self.rows, choice]
        self.p = np.exp(self.logs)

    @property
    def entropy(self) -> Array:
        """See :class:`Scores`."""
        # An illegal choice has p = 0 and a finite log p.
        return -np.einsum("na,na->n", self.p, self.logs)

    def pull(self, by_logp: Array, by_entropy: float | Array) -> tuple[Array, Array]:
        """See :class:`Scores`."""
        # d log p(a) / d logit_i = [i = a] - p_i, and d H / d logit_i = -p_i (log p_i + H).
        if np.any(by_entropy):
            slope = self.logs + self.entropy[:, None]
            slope *= np.reshape(by_entropy, (-1, 1))
            slope += by_logp[:, None]
            slope *= -self.p
        else:
            slope = self.p * -by_logp[:, None]
        slope[self.rows, self.choice] += by_logp
        return slope, NO_SPREAD


class GaussianScores:
    """Values ``[N, D]`` under means ``[N, D]`` and log standard deviations ``[D]``."""

    def __init__(self, mean: Array, log_std: Array, value: Array) -> None:
        low, high = LOG_STD_LIMITS
        self.free = (log_std >= low) & (log_std <= high)
        log_std = np.clip(log_std, low, high)
        self.scale = np.exp(-log_std)
        self.z = (value - mean) * self.scale
        constant = float(log_std.sum()) + 0.5 * math.log(2 * math.pi) * len(log_std)
        self.logp = -0.5 * np.einsum("ij,ij->i", self.z, self.z) - np.float32(constant)
        self.entropy = np.full(len(value), constant + 0.5 * len(log_std), np.float32)

    def pull(self, by_logp: Array, by_entropy: float | Array) -> tuple[Array, Array]:
        """See :class:`Scores`."""
        # d log p / d mean = z / std, d log p / d log std = z^2 - 1, d H / d log std = 1.
        by_mean = self.z * by_logp[:, None]
        by_log_std = np.einsum("ij,ij->j", by_mean, self.z) - by_logp.sum()
        by_log_std += np.broadcast_to(by_entropy, len(by_logp)).sum()
        by_mean *= self.scale
        return by_mean, by_log_std * self.free


class ChoiceWithBinnedValueScores:
    """Choices with a value each, under outputs ``[N, A, 1 + K]``: a logit and those of a grid."""

    def __init__(self, outputs: Array, logits: Array, choice: Array, value: Array) -> None:
        self.outputs, bins = outputs, outputs.shape[-1] - 1
        self.choice = CategoricalScores(logits, choice)
        # As in BinnedValue: the nearest point of the grid.
        place = np.rint((value + 1) * 0.5 * (bins - 1)).astype(np.int64)
        chosen = outputs[self.choice.rows, choice, 1:]
        self.value = CategoricalScores(chosen, place)
        self.logp = self.choice.logp + self.value.logp

    @cached_property
    def _grids(self) -> tuple[Array, Array, Array]:
        """Log-probabilities and probabilities [N, A, K] of all grids, their entropies [N, A]."""
        logs = log_softmax(self.outputs[..., 1:])
        p = np.exp(logs)
        return logs, p, -np.einsum("nak,nak->na", p, logs)

    @property
    def entropy(self) -> Array:
        """See :class:`Scores`."""
        return self.choice.entropy + np.einsum("na,na->n", self.choice.p, self._grids[2])

    def pull(self, by_logp: Array, by_entropy: float | Array) -> tuple[Array, Array]:
        """See :class:`Scores`."""
        pulled = np.zeros_like(self.outputs)
        if np.any(by_entropy):
            # H = H(choice) + sum_a p_a H_a: by the logit of a choice p_a (H_a - sum_b p_b H_b),
            # by the grid of a choice p_a times that of its entropy.
            logs, p, each = self._grids
            weights = np.reshape(by_entropy, (-1, 1)) * self.choice.p
            slope = logs + each[..., None]
            slope *= p
            slope *= -weights[..., None]
            pulled[..., 1:] = slope
            mean = np.einsum("na,na->n", self.choice.p, each)
            pulled[..., 0] = weights * (each - mean[:, None])
        pulled[..., 0] += self.choice.pull(by_logp, by_entropy)[0]
        rows, choice = self.choice.rows, self.choice.choice
        pulled[rows, choice, 1:] += self.value.pull(by_logp, 0.0)[0]
        return pulled.reshape(len(pulled), -1), NO_SPREAD


class JointScores:
    """Independent parts, whose outputs lie side by side."""

    def __init__(self, parts: list[Scores]) -> None:
        self.parts = parts
        self.logp = sum(part.logp for part in parts[1:]) + parts[0].logp

    @property
    def entropy(self) -> Array:
        """See :class:`Scores`."""
        return sum(part.entropy for part in self.parts[1:]) + self.parts[0].entropy

    def pull(self, by_logp: Array, by_entropy: float | Array) -> tuple[Array, Array]:
        """See :class:`Scores`."""
        pulled = [part.pull(by_logp, by_entropy) for part in self.parts]
        outputs, spreads = zip(*pulled, strict=True)
        return np.concatenate(outputs, -1), np.concatenate(spreads)


def has_closed_form(head: ActionHead) -> bool:
    """Whether :func:`score_actions` knows such actions."""
    if isinstance(head, ProductHead):
        return all(map(has_closed_form, head.parts.values()))
    if isinstance(head, ChoiceWithValueHead):
        return head.value is BinnedValue
    return isinstance(head, DiscreteHead | MultiDiscreteHead | BoxHead)


def score_actions(
    head: Any,
    outputs: Array,
    action: Mapping[str, Array],
    log_std: Array = NO_SPREAD,
    mask: Array | None = None,
) -> Scores:
    """Score actions, given as columns ``[N, ...]``, under the distributions of outputs [N, size].

    Args:
        head: of a kind that has a closed form.
        outputs: the network's.
        action: the columns of the head.
        log_std: log standard deviations ``[L]``.
        mask: legal choices ``[N, mask_size]``.
    """
    if isinstance(head, DiscreteHead):
        return CategoricalScores(forbid(outputs, mask), action["choice"])
    if isinstance(head, BoxHead):
        return GaussianScores(outputs, log_std, action["value"])
    if isinstance(head, ChoiceWithValueHead):
        each = outputs.reshape(len(outputs), -1, head.per_choice)
        logits = forbid(each[..., 0], mask)
        return ChoiceWithBinnedValueScores(each, logits, action["choice"], action["value"])
    if isinstance(head, MultiDiscreteHead):
        ends = np.cumsum(head.sizes)[:-1]
        parts = np.split(outputs, ends, -1)
        masks = [None] * len(parts) if mask is None else np.split(mask, ends, -1)
        choices = action["choices"].T
        return JointScores(
            [
                CategoricalScores(forbid(part, legal), choice)
                for part, legal, choice in zip(parts, masks, choices, strict=True)
            ]
        )
    sizes = np.cumsum([part.size for part in head.parts.values()])[:-1]
    spreads = np.cumsum([part.num_log_stds for part in head.parts.values()])[:-1]
    split = zip(
        head.parts.items(), np.split(outputs, sizes, -1), np.split(log_std, spreads), strict=True
    )
    return JointScores(
        [
            score_actions(part, own, select_part_columns(name, action), spread)
            for (name, part), own, spread in split
        ]
    )


def forbid(logits: Array, mask: Array | None) -> Array:
    """Return logits [N, A] with those of illegal choices far below all others."""
    return logits if mask is None else np.where(mask != 0, logits, np.float32(ILLEGAL_LOGIT))
