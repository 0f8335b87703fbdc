"""Values drawn from normal distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from algos.actions.array_backend import draw_normal, get_array_module, to_array_like, to_dtype
from algos.actions.head import ActionDistribution, ActionHead
from algos.actions.numpy_actions import Action, ActionColumns, Array, Mask, Noise, Scores

LOG_STD_LIMITS = (-10, 3)
"""Beyond these a log standard deviation counts as the nearer one."""

LARGEST_BOUND = 1e9
"""Bounds at least as large stand for none: of half their range no policy could find the part that
matters, and the whole range of float32 overflows."""


def has_bounds(space: spaces.Box) -> bool:
    """Whether every value of a space lies between bounds that mean something."""
    # As floats: the absolute value of the smallest int64 is itself.
    limits = np.concatenate([space.low.ravel(), space.high.ravel()]).astype(np.float64)
    return bool((np.abs(limits) < LARGEST_BOUND).all())


class Gaussian:
    """Independent normal values ``[N, D]``, not squashed: the environment clips."""

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        # A learned spread can run away: a collapsed one makes density ratios explode, and
        # an unbounded one keeps raising the entropy bonus.
        self.mean, self.log_std = mean, log_std.clamp(*LOG_STD_LIMITS)

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw values."""
        return {"value": self.mean + self.log_std.exp() * draw_normal(self.mean, generator)}

    def mode(self) -> Action:
        """Return the mean."""
        return {"value": self.mean}

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return the log-density, summed over D."""
        z = (action["value"] - self.mean) * (-self.log_std).exp()
        return (-0.5 * z * z - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """Return the differential entropy, summed over D; may be negative."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1).expand(len(self.mean))

    def max_entropy(self) -> None:
        """Return None: a normal distribution has no largest entropy."""

    def choice_probabilities(self) -> None:
        """Return None: nothing is chosen."""

    def at_temperature(self, temperature: Tensor) -> Gaussian:
        """Return the same: how far values stray is a number of its own."""
        return self


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
        self._entropy = constant + 0.5 * len(log_std)

    @property
    def entropy(self) -> Array:
        """See :class:`Scores`."""
        return np.full(len(self.z), self._entropy, np.float32)

    def backpropagate(self, by_logp: Array, by_entropy: float | Array) -> tuple[Array, Array]:
        """See :class:`Scores`."""
        # d log p / d mean = z / std, d log p / d log std = z^2 - 1, d H / d log std = 1.
        by_mean = self.z * by_logp[:, None]
        by_log_std = np.einsum("ij,ij->j", by_mean, self.z) - by_logp.sum()
        # A call of broadcast_to would take as long as all of this.
        rows = np.sum(by_entropy) if np.ndim(by_entropy) else by_entropy * len(by_logp)
        by_log_std += rows
        by_mean *= self.scale
        return by_mean, by_log_std * self.free


class BoxHead(ActionHead):
    """A mean for each value and a standard deviation that does not depend on the observation.

    Whole numbers are drawn as floats are, and rounded on their way to the environment.
    """

    space: spaces.Box
    columns = ("value",)
    has_choices = False

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space)
        self.size = self.num_log_stds = int(np.prod(space.shape))
        self.bounded = has_bounds(space)
        self.rounds = np.issubdtype(space.dtype, np.integer)
        # Whole numbers become float64, in which no range overflows. With a batch axis, so that
        # NumPy and torch choose the same type for results, of a single value, too.
        ends = [end.astype(np.float64) if self.rounds else end for end in (space.low, space.high)]
        self.low, self.high = (end[None] for end in ends)

    @classmethod
    def make(cls, space: spaces.Space[Any], value: str, bins: int) -> Self | None:
        """See :class:`ActionHead`."""
        if not isinstance(space, spaces.Box):
            return None
        if np.issubdtype(space.dtype, np.integer):
            return cls(space) if space.is_bounded() and has_bounds(space) else None
        return cls(space) if np.issubdtype(space.dtype, np.floating) else None

    def dist(
        self, outputs: Tensor, log_std: Tensor | None = None, mask: Tensor | None = None
    ) -> ActionDistribution:
        """See :class:`ActionHead`."""
        return Gaussian(
            outputs, outputs.new_zeros(self.num_log_stds) if log_std is None else log_std
        )

    def label_outputs(self, outputs: Tensor, log_std: Tensor) -> dict[str, Tensor]:
        """See :class:`ActionHead`."""
        means = {f"value.{i} (mean)": outputs[:, i] for i in range(self.size)}
        return means | {f"value.{i} (spread)": log_std[i] for i in range(self.num_log_stds)}

    def to_env_action(self, action: ActionColumns) -> Any:
        """Return environment actions; a bounded value is in half ranges around the middle."""
        value = action["value"].reshape(-1, *self.space.shape)
        low, high = to_array_like(self.low, value), to_array_like(self.high, value)
        if self.bounded:
            value = low + (value + 1) / 2 * (high - low)
        # Only the environment gets the clipped value. Stored is the draw itself, whose
        # density the Gaussian knows; a clipped one would have a point mass at each bound.
        value = value.clip(low, high)
        if self.rounds:
            value = get_array_module(value).round(value)
        return to_dtype(value, self.space.dtype)

    def compute_action_metrics(self, action: ActionColumns) -> dict[str, float]:
        """Return the fraction of values beyond their bounds, which ``to_env_action`` clips."""
        if not self.bounded:
            return {}
        return {"action_clip_fraction": float((np.abs(action["value"]) > 1).mean())}

    def to_action_columns(self, action: Array) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        value = np.asarray(action, np.float32)
        if self.bounded:
            width = self.high - self.low
            # A single value could be scaled to any number; 0 is what the network begins with.
            value = np.where(
                width > 0, 2 * (value - self.low) / np.where(width > 0, width, 1) - 1, 0
            )
        return {"value": value.reshape(len(value), -1).astype(np.float32)}

    @property
    def on_numpy(self) -> bool:
        """Always."""
        return True

    def score(self, outputs: Array, action: ActionColumns, log_std: Array, mask: Mask) -> Scores:
        """See :class:`ActionHead`."""
        return GaussianScores(outputs, log_std, action["value"])

    def count_noise(self) -> Noise:
        """See :class:`ActionHead`."""
        return Noise(0, self.size)

    def draw(self, outputs: Array, noise: Noise, std: Array, mask: Mask) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        return {"value": outputs + std * noise.normal}
