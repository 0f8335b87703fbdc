"""One choice out of several, or several such choices at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from algos.actions.array_backend import (
    Array,
    draw_exponential,
    get_array_module,
    log_softmax,
    take_at_index,
    to_array_like,
    to_dtype,
)
from algos.actions.fused_entropy import fused_entropy
from algos.actions.head import ActionDistribution, ActionHead
from algos.actions.numpy_actions import (
    NO_SPREAD,
    Action,
    ActionColumns,
    JointScores,
    Mask,
    Noise,
    Scores,
)
from envs.contract.action_masks import count_choices

ILLEGAL_LOGIT = -1e30
"""Logit of an illegal action: finite, because -inf times a probability of 0 is NaN."""
NARROW = 32
"""Choices A up to which NumPy reduces rows [N, A] faster where each choice's N numbers adjoin."""


class Categorical:
    """One of A choices; ``mask [N, A]`` is false where a choice is illegal.

    Given numpy arrays, it samples and computes log-probabilities with numpy.
    """

    def __init__(self, logits: Array, mask: Array | None = None) -> None:
        if mask is not None:
            lib = get_array_module(logits)
            logits = lib.where(mask != 0, logits, lib.full_like(logits, ILLEGAL_LOGIT))
        # The raw logits are kept, too: the fused entropy passes its gradient straight to
        # them.
        self._given, self.mask = logits, mask
        self.logits = log_softmax(logits)

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw by an exponential race: the first arrival, at rates p, is a draw from p."""
        # An illegal choice has the rate exp(-1e30) = 0 and loses every race.
        rates = get_array_module(self.logits).exp(self.logits)
        return {"choice": (rates / draw_exponential(rates, generator)).argmax(-1)}

    def mode(self) -> Action:
        """Return the most likely choice."""
        return {"choice": self.logits.argmax(-1)}

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return the log-probability of the choice."""
        return take_at_index(self.logits, action["choice"])

    def entropy(self) -> Tensor:
        """Return the entropy; illegal choices add nothing."""
        return fused_entropy(self._given, self.logits.detach())

    def max_entropy(self) -> Tensor:
        """Log of the number of legal choices."""
        if self.mask is None:
            return torch.full_like(self.logits[..., 0], math.log(self.logits.shape[-1]))
        return self.mask.sum(-1).to(self.logits.dtype).log()

    def choice_probabilities(self) -> Tensor:
        """Return the probabilities."""
        return self.logits.exp()

    def at_temperature(self, temperature: Tensor) -> Categorical:
        """See :class:`ActionDistribution`."""
        # These are log-probabilities; Categorical normalises again, which gives p^(1/T) / Z.
        return Categorical(self.logits / temperature, self.mask)


class CategoricalScores:
    """Choices ``[N]`` under logits ``[N, A]``."""

    def __init__(self, logits: Array, choice: Array) -> None:
        if logits.shape[1] <= NARROW:
            logits = np.asfortranarray(logits)
        self.logs, self.choice = log_softmax(logits), choice
        self.rows = np.arange(len(choice))
        self.logp = self.logs[self.rows, choice]
        self.p = np.exp(self.logs)

    @property
    def entropy(self) -> Array:
        """See :class:`Scores`."""
        # An illegal choice has p = 0 and a finite log p.
        return -np.einsum("na,na->n", self.p, self.logs)

    def backpropagate(self, by_logp: Array, by_entropy: float | Array) -> tuple[Array, Array]:
        """See :class:`Scores`."""
        # d log p(a) / d logit_i = [i = a] - p_i, and d H / d logit_i = -p_i (log p_i + H).
        if isinstance(by_entropy, np.ndarray) or by_entropy:
            slope = self.logs + self.entropy[:, None]
            slope *= np.reshape(by_entropy, (-1, 1))
            slope += by_logp[:, None]
            slope *= -self.p
        else:
            slope = self.p * -by_logp[:, None]
        slope[self.rows, self.choice] += by_logp
        return slope, NO_SPREAD


def forbid(logits: Array, mask: Array | None) -> Array:
    """Return logits [N, A] with those of illegal choices far below all others."""
    return logits if mask is None else np.where(mask != 0, logits, np.float32(ILLEGAL_LOGIT))


class DiscreteHead(ActionHead):
    """One logit for each choice."""

    space: spaces.Discrete
    columns = ("choice",)

    def __init__(self, space: spaces.Discrete) -> None:
        super().__init__(space)
        self.size = self.choices = self.mask_size = int(space.n)
        self.start = int(space.start)

    @classmethod
    def make(cls, space: spaces.Space[Any], value: str, bins: int) -> Self | None:
        """See :class:`ActionHead`."""
        return cls(space) if isinstance(space, spaces.Discrete) else None

    def dist(
        self, outputs: Tensor, log_std: Tensor | None = None, mask: Tensor | None = None
    ) -> ActionDistribution:
        """See :class:`ActionHead`."""
        return Categorical(outputs, mask)

    def label_outputs(self, outputs: Tensor, log_std: Tensor) -> dict[str, Tensor]:
        """See :class:`ActionHead`."""
        return {"choice": outputs}

    def to_env_action(self, action: ActionColumns) -> Any:
        """See :class:`ActionHead`."""
        return to_dtype(action["choice"] + self.start, np.dtype(self.space.dtype))

    def to_action_columns(self, action: Array) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        return {"choice": np.asarray(action, np.int64) - self.start}

    @property
    def on_numpy(self) -> bool:
        """Always."""
        return True

    def score(self, outputs: Array, action: ActionColumns, log_std: Array, mask: Mask) -> Scores:
        """See :class:`ActionHead`."""
        return CategoricalScores(forbid(outputs, mask), action["choice"])

    def count_noise(self) -> Noise:
        """See :class:`ActionHead`."""
        return Noise(self.size, 0)

    def draw(self, outputs: Array, noise: Noise, std: Array, mask: Mask) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        return {"choice": (forbid(outputs, mask) + noise.gumbel).argmax(-1)}


class MultiCategorical:
    """Several independent choices at once, one Categorical each."""

    def __init__(self, parts: list[Categorical]) -> None:
        self.parts = parts

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw every part."""
        return self._stack([part.sample(generator) for part in self.parts])

    def mode(self) -> Action:
        """Return the mode of every part."""
        return self._stack([part.mode() for part in self.parts])

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Sum over the parts."""
        choices = action["choices"].unbind(-1)
        logps = [p.logp({"choice": c}) for p, c in zip(self.parts, choices, strict=True)]
        return torch.stack(logps).sum(0)

    def entropy(self) -> Tensor:
        """Sum over the parts."""
        return torch.stack([part.entropy() for part in self.parts]).sum(0)

    def max_entropy(self) -> Tensor:
        """Sum over the parts."""
        return torch.stack([part.max_entropy() for part in self.parts]).sum(0)

    def choice_probabilities(self) -> None:
        """Return None: there is no single choice."""

    def at_temperature(self, temperature: Tensor) -> MultiCategorical:
        """Change every part."""
        return MultiCategorical([part.at_temperature(temperature) for part in self.parts])

    @staticmethod
    def _stack(actions: list[Action]) -> Action:
        return {"choices": torch.stack([action["choice"] for action in actions], -1)}


class MultiDiscreteHead(ActionHead):
    """One logit for each option of each choice; MultiBinary is a row of choices of 0 or 1."""

    columns = ("choices",)

    def __init__(self, space: spaces.MultiDiscrete | spaces.MultiBinary) -> None:
        super().__init__(space)
        if isinstance(space, spaces.MultiBinary):
            self.sizes, self.start = [2] * int(np.prod(space.shape)), np.zeros(1, np.int64)
        else:
            self.sizes, self.start = [int(n) for n in space.nvec.flat], space.start.flatten()
        self.size = sum(self.sizes)
        # Those of all choices, one after another, as in the masks of sb3-contrib.
        self.mask_size = max(count_choices(space), 0)

    @classmethod
    def make(cls, space: spaces.Space[Any], value: str, bins: int) -> Self | None:
        """See :class:`ActionHead`."""
        return cls(space) if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary) else None

    def dist(
        self, outputs: Tensor, log_std: Tensor | None = None, mask: Tensor | None = None
    ) -> ActionDistribution:
        """See :class:`ActionHead`."""
        parts = outputs.split(self.sizes, -1)
        masks = mask.split(self.sizes, -1) if mask is not None else [None] * len(parts)
        return MultiCategorical([Categorical(p, m) for p, m in zip(parts, masks, strict=True)])

    def label_outputs(self, outputs: Tensor, log_std: Tensor) -> dict[str, Tensor]:
        """See :class:`ActionHead`."""
        return {f"choices.{i}": part for i, part in enumerate(outputs.split(self.sizes, -1))}

    def to_env_action(self, action: ActionColumns) -> Any:
        """See :class:`ActionHead`."""
        shifted = action["choices"] + to_array_like(self.start, action["choices"])
        shaped = shifted.reshape(-1, *(self.space.shape or ()))
        return to_dtype(shaped, np.dtype(self.space.dtype))

    def to_action_columns(self, action: Array) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        flat = np.asarray(action, np.int64).reshape(len(action), -1)
        return {"choices": flat - self.start}

    @property
    def on_numpy(self) -> bool:
        """Always."""
        return True

    def score(self, outputs: Array, action: ActionColumns, log_std: Array, mask: Mask) -> Scores:
        """See :class:`ActionHead`."""
        ends = np.cumsum(self.sizes)[:-1]
        parts = np.split(forbid(outputs, mask), ends, -1)
        choices = action["choices"].T
        return JointScores([CategoricalScores(*both) for both in zip(parts, choices, strict=True)])

    def count_noise(self) -> Noise:
        """See :class:`ActionHead`."""
        return Noise(self.size, 0)

    def draw(self, outputs: Array, noise: Noise, std: Array, mask: Mask) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        sums = forbid(outputs, mask) + noise.gumbel
        parts = np.split(sums, np.cumsum(self.sizes)[:-1], -1)
        return {"choices": np.stack([part.argmax(-1) for part in parts], -1)}
