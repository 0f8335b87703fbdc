"""A choice and a value that goes with it, such as an intervention DO(X = v)."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import cached_property, lru_cache
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from algos.actions.array_backend import log_softmax, to_dtype
from algos.actions.choice_values import VALUES, BinnedValue, ValueDistribution
from algos.actions.choices import Categorical, CategoricalScores, forbid
from algos.actions.head import ActionDistribution, ActionHead
from algos.actions.numpy_actions import NO_SPREAD, Action, ActionColumns, Array, Mask, Noise, Scores


class ChoiceWithValue:
    """One of A choices and a value in [-1, 1] that goes with it.

    Args:
        outputs: ``[N, A, 1 + K]``: a logit and K value parameters for each choice.
        mask: ``[N, A]`` or None, false where a choice is illegal.
        value: the distribution of the value given its parameters ``[..., K]``.
    """

    def __init__(
        self, outputs: Tensor, mask: Tensor | None, value: type[ValueDistribution]
    ) -> None:
        self.choice = Categorical(outputs[..., 0], mask)
        self.params = outputs[..., 1:]
        self.value = value

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw the choice, then its value."""
        choice = self.choice.sample(generator)
        return choice | self._value_given_choice(choice).sample(generator)

    def mode(self) -> Action:
        """Return the most likely choice and the most likely value for it."""
        choice = self.choice.mode()
        return choice | self._value_given_choice(choice).mode()

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return log p(choice) + log p(value | choice)."""
        return self.choice.logp(action) + self._value_given_choice(action).logp(action)

    def entropy(self) -> Tensor:
        """Return H(choice) + the mean over choices of H(value | choice)."""
        return self.choice.entropy() + self._mean(self.value(self.params).entropy())

    def max_entropy(self) -> Tensor:
        """Return the entropy with every choice and every value equally likely."""
        return self.choice.max_entropy() + self._mean(self.value(self.params).max_entropy())

    def choice_probabilities(self) -> Tensor:
        """Return the probabilities of the choices."""
        return self.choice.choice_probabilities()

    def at_temperature(self, temperature: Tensor) -> ChoiceWithValue:
        """Change the choice; values stay as they are."""
        changed = copy(self)
        changed.choice = self.choice.at_temperature(temperature)
        return changed

    def _value_given_choice(self, action: Mapping[str, Tensor]) -> ValueDistribution:
        # Take the chosen option only, [N, A, K] -> [N, K]: log p gives the others no
        # gradient.
        rows = torch.arange(self.params.shape[0], device=self.params.device)
        return self.value(self.params[rows, action["choice"]])

    def _mean(self, per_choice: Tensor) -> Tensor:
        return (self.choice.choice_probabilities() * per_choice).sum(-1)


class ChoiceWithBinnedValueScores:
    """Choices with a value each, under outputs ``[N, A, 1 + K]``: a logit and those of a grid."""

    def __init__(self, outputs: Array, logits: Array, choice: Array, value: Array) -> None:
        self.outputs, bins = outputs, outputs.shape[-1] - 1
        self.choice = CategoricalScores(logits, choice)
        # As in BinnedValue: the nearest point of the grid.
        index = np.rint((value + 1) * 0.5 * (bins - 1)).astype(np.int64)
        chosen = outputs[self.choice.rows, choice, 1:]
        self.value = CategoricalScores(chosen, index)
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

    def backpropagate(self, by_logp: Array, by_entropy: float | Array) -> tuple[Array, Array]:
        """See :class:`Scores`."""
        gradient = np.zeros_like(self.outputs)
        if isinstance(by_entropy, np.ndarray) or by_entropy:
            # H = H(choice) + sum_a p_a H_a: by the logit of a choice p_a (H_a - sum_b p_b H_b),
            # by the grid of a choice p_a times that of its entropy.
            logs, p, each = self._grids
            weights = np.reshape(by_entropy, (-1, 1)) * self.choice.p
            slope = logs + each[..., None]
            slope *= p
            slope *= -weights[..., None]
            gradient[..., 1:] = slope
            mean = np.einsum("na,na->n", self.choice.p, each)
            gradient[..., 0] = weights * (each - mean[:, None])
        gradient[..., 0] += self.choice.backpropagate(by_logp, by_entropy)[0]
        rows, choice = self.choice.rows, self.choice.choice
        gradient[rows, choice, 1:] += self.value.backpropagate(by_logp, 0.0)[0]
        return gradient.reshape(len(gradient), -1), NO_SPREAD


class ChoiceWithValueHead(ActionHead):
    """One logit for each choice, and the parameters of its value.

    Normal values have one spread for all choices, which does not depend on the observation: so any
    number of choices fits, and it can be steered from outside.
    """

    columns = ("choice", "value")

    def __init__(self, space: spaces.Dict, value: str, bins: int) -> None:
        super().__init__(space)
        choice: Any = space["choice"]
        self.choices, self.start = int(choice.n), int(choice.start)
        self.choice_dtype = np.dtype(choice.dtype)
        self.value_dtype = np.dtype(space["value"].dtype)
        self.mask_size = self.choices
        self.value = VALUES[value]
        self.num_log_stds = int(value == "normal")
        self.per_choice = 1 + {"bins": bins, "beta": 2, "normal": 1}[value]
        self.size = self.choices * self.per_choice

    @classmethod
    def make(cls, space: spaces.Space[Any], value: str, bins: int) -> Self | None:
        """See :class:`ActionHead`."""
        if not isinstance(space, spaces.Dict) or set(space) != {"choice", "value"}:
            return None
        choice, box = space["choice"], space["value"]
        fits = (
            isinstance(choice, spaces.Discrete)
            and isinstance(box, spaces.Box)
            and box.shape == ()
            and np.issubdtype(box.dtype, np.floating)
            and (float(box.low), float(box.high)) == (-1.0, 1.0)
        )
        return cls(space, value, bins) if fits else None

    def dist(
        self, outputs: Tensor, log_std: Tensor | None = None, mask: Tensor | None = None
    ) -> ActionDistribution:
        """See :class:`ActionHead`; any number of choices is acted among."""
        # [N, A * per_choice] -> [N, A, per_choice], A taken from the outputs and not from
        # the space: a model over nodes also acts in environments with another number of
        # nodes.
        each = outputs.view(outputs.shape[0], -1, self.per_choice)
        if self.num_log_stds:
            spread = outputs.new_zeros(1) if log_std is None else log_std
            # The same log standard deviation behind each mean: NormalValue reads pairs
            # of both.
            each = torch.cat([each, spread.expand(*each.shape[:2], 1)], -1)
        return ChoiceWithValue(each, mask, self.value)

    def label_outputs(self, outputs: Tensor, log_std: Tensor) -> dict[str, Tensor]:
        """See :class:`ActionHead`."""
        each = outputs.view(outputs.shape[0], -1, self.per_choice)
        spread = {"value (spread)": log_std} if self.num_log_stds else {}
        return {"choice": each[..., 0], "value": each[..., 1:]} | spread

    def to_env_action(self, action: ActionColumns) -> Any:
        """See :class:`ActionHead`."""
        choice = to_dtype(action["choice"] + self.start, self.choice_dtype)
        return {"choice": choice, "value": to_dtype(action["value"], self.value_dtype)}

    def to_action_columns(self, action: Mapping[str, Array]) -> dict[str, Array]:
        """Return the action's columns, values just inside the ends (a Beta density's domain)."""
        value = np.asarray(action["value"], np.float32).clip(-1 + 1e-6, 1 - 1e-6)
        return {"choice": np.asarray(action["choice"], np.int64) - self.start, "value": value}

    @property
    def on_numpy(self) -> bool:
        """Where the value is one of a grid."""
        return self.value is BinnedValue

    def score(self, outputs: Array, action: ActionColumns, log_std: Array, mask: Mask) -> Scores:
        """See :class:`ActionHead`."""
        each = outputs.reshape(len(outputs), -1, self.per_choice)
        logits = forbid(each[..., 0], mask)
        return ChoiceWithBinnedValueScores(each, logits, action["choice"], action["value"])

    def count_noise(self) -> Noise:
        """See :class:`ActionHead`."""
        return Noise(self.choices + self.per_choice - 1, 0)  # a choice, then a point of its grid

    def draw(self, outputs: Array, noise: Noise, std: Array, mask: Mask) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        each = outputs.reshape(len(outputs), -1, self.per_choice)
        first, second = np.split(noise.gumbel, [each.shape[1]], -1)
        choice = (forbid(each[..., 0], mask) + first).argmax(-1)
        index = (each[np.arange(len(each)), choice, 1:] + second).argmax(-1)
        return {"choice": choice, "value": _make_grid(self.per_choice - 1)[index]}


@lru_cache
def _make_grid(points: int) -> Array:
    return np.linspace(-1, 1, points, dtype=np.float32)
