"""Which head an action space has, and actions composed of several kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import accumulate
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from algos.actions.choice_with_value import ChoiceWithValueHead
from algos.actions.choices import DiscreteHead, MultiDiscreteHead
from algos.actions.head import ActionDistribution, ActionHead, select_part_columns
from algos.actions.numpy_actions import (
    Action,
    ActionColumns,
    Array,
    JointScores,
    Mask,
    Noise,
    Scores,
)
from algos.actions.topk import TopKHead
from algos.actions.values import BoxHead
from rungwise.validation import InputError


class ProductDistribution:
    """Several independent parts, each with a name; columns are ``<part>.<column>``."""

    def __init__(self, parts: Mapping[str, ActionDistribution]) -> None:
        self.parts = parts

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw every part."""
        return self._join({name: part.sample(generator) for name, part in self.parts.items()})

    def mode(self) -> Action:
        """Return the mode of every part."""
        return self._join({name: part.mode() for name, part in self.parts.items()})

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Sum over the parts."""
        logps = [part.logp(select_part_columns(name, action)) for name, part in self.parts.items()]
        return torch.stack(logps).sum(0)

    def entropy(self) -> Tensor:
        """Sum over the parts."""
        return torch.stack([part.entropy() for part in self.parts.values()]).sum(0)

    def max_entropy(self) -> Tensor | None:
        """Sum over the parts, None where one has no largest entropy."""
        highest = [part.max_entropy() for part in self.parts.values()]
        return None if any(h is None for h in highest) else torch.stack(highest).sum(0)  # type: ignore[arg-type]

    def choice_probabilities(self) -> None:
        """Return None: there is no single choice."""

    def at_temperature(self, temperature: Tensor) -> ProductDistribution:
        """Change every part."""
        return ProductDistribution(
            {n: part.at_temperature(temperature) for n, part in self.parts.items()}
        )

    @staticmethod
    def _join(actions: Mapping[str, Action]) -> Action:
        return {f"{name}.{c}": v for name, action in actions.items() for c, v in action.items()}


class ProductHead(ActionHead):
    """Independent heads for the parts of a Dict or Tuple."""

    def __init__(self, space: spaces.Dict | spaces.Tuple, parts: Mapping[str, ActionHead]) -> None:
        super().__init__(space)
        self.parts = parts
        self.columns = tuple(f"{n}.{c}" for n, part in parts.items() for c in part.columns)
        self.size = sum(part.size for part in parts.values())
        self.num_log_stds = sum(part.num_log_stds for part in parts.values())
        self.has_choices = any(part.has_choices for part in parts.values())

    @classmethod
    def make(cls, space: spaces.Space[Any], value: str, bins: int) -> Self | None:
        """See :class:`ActionHead`."""
        if not (isinstance(space, spaces.Dict | spaces.Tuple) and len(space)):
            return None
        named = space.items() if isinstance(space, spaces.Dict) else enumerate(space)
        parts = {str(name): make_action_head(part, value, bins) for name, part in named}
        # Picks go with nothing else.
        return cls(space, parts) if all(part.size for part in parts.values()) else None

    def dist(
        self, outputs: Tensor, log_std: Tensor | None = None, mask: Tensor | None = None
    ) -> ActionDistribution:
        """See :class:`ActionHead`."""
        if log_std is None:
            log_std = outputs.new_zeros(self.num_log_stds)
        return ProductDistribution(
            {n: part.dist(*inputs) for n, part, *inputs in self._split(outputs, log_std)}
        )

    def label_outputs(self, outputs: Tensor, log_std: Tensor) -> dict[str, Tensor]:
        """See :class:`ActionHead`."""
        return {
            f"{name}.{inner}": numbers
            for name, part, *inputs in self._split(outputs, log_std)
            for inner, numbers in part.label_outputs(*inputs).items()
        }

    def _split(
        self, outputs: Tensor, log_std: Tensor
    ) -> Iterator[tuple[str, ActionHead, Tensor, Tensor]]:
        """Return the name, the head and the share of the numbers of each part."""
        # All parts share one flat row of numbers, in the order of ``parts``: networks need
        # not know how an action is composed.
        split = outputs.split([part.size for part in self.parts.values()], -1)
        frees = log_std.split([part.num_log_stds for part in self.parts.values()])
        return zip(self.parts, self.parts.values(), split, frees, strict=True)

    def to_env_action(self, action: ActionColumns) -> Any:
        """See :class:`ActionHead`."""
        parts = {
            n: part.to_env_action(select_part_columns(n, action)) for n, part in self.parts.items()
        }
        return parts if isinstance(self.space, spaces.Dict) else tuple(parts.values())

    def to_action_columns(self, action: Mapping[str, Any] | tuple[Any, ...]) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        parts: Any = action.items() if isinstance(action, Mapping) else enumerate(action)
        named = {str(name): part for name, part in parts}
        return {
            f"{name}.{column}": values
            for name, part in self.parts.items()
            for column, values in part.to_action_columns(named[name]).items()
        }

    @property
    def kind(self) -> str:
        """With the kinds of its parts."""
        parts = ", ".join(f"{name}: {part.kind}" for name, part in self.parts.items())
        return f"{type(self).__name__}({parts})"

    @property
    def on_numpy(self) -> bool:
        """Where all parts are."""
        return all(part.on_numpy for part in self.parts.values())

    def score(self, outputs: Array, action: ActionColumns, log_std: Array, mask: Mask) -> Scores:
        """See :class:`ActionHead`."""
        sizes, spreads = self._sizes
        split = zip(
            self.parts.items(),
            np.split(outputs, sizes, -1),
            np.split(log_std, spreads),
            strict=True,
        )
        return JointScores(
            [
                part.score(numbers, select_part_columns(name, action), spread, None)
                for (name, part), numbers, spread in split
            ]
        )

    @cached_property
    def _sizes(self) -> tuple[list[int], list[int]]:
        """Where the outputs and the log standard deviations of each part end, but for the last."""
        parts = list(self.parts.values())[:-1]
        return (
            list(accumulate(part.size for part in parts)),
            list(accumulate(part.num_log_stds for part in parts)),
        )

    def count_noise(self) -> Noise:
        """See :class:`ActionHead`."""
        counts = [part.count_noise() for part in self.parts.values()]
        return Noise(sum(count.gumbel for count in counts), sum(count.normal for count in counts))

    def draw(self, outputs: Array, noise: Noise, std: Array, mask: Mask) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        counts = [part.count_noise() for part in self.parts.values()]
        sizes, spreads = self._sizes
        split = zip(
            self.parts.items(),
            np.split(outputs, sizes, -1),
            np.split(noise.gumbel, list(accumulate(count.gumbel for count in counts))[:-1], -1),
            np.split(noise.normal, list(accumulate(count.normal for count in counts))[:-1], -1),
            np.split(std, spreads),
            strict=True,
        )
        return {
            f"{name}.{column}": values
            for (name, part), numbers, gumbel, normal, spread in split
            for column, values in part.draw(numbers, Noise(gumbel, normal), spread, None).items()
        }


KINDS: list[type[ActionHead]] = [
    DiscreteHead,
    MultiDiscreteHead,
    # Before the general Box: rows of whole numbers from -1 are picks.
    TopKHead,
    BoxHead,
    # Before the general Dict: here the value depends on the choice, and parts are drawn one by one.
    ChoiceWithValueHead,
    ProductHead,
]
"""Kinds of actions, of which the first that knows a space is taken. One of your own is put before
them by the module of its environment."""


def make_action_head(space: spaces.Space[Any], value: str = "bins", bins: int = 21) -> ActionHead:
    """Return the head for an action space.

    Args:
        space: Discrete, MultiDiscrete, MultiBinary, a Box of floats, a bounded Box of whole
            numbers, or a Dict or Tuple of them; Dict(choice=Discrete, value=Box(-1, 1)) is a
            choice with a value of its own, and a Box of whole numbers from -1 [R, k] are k picks
            in each of R rows.
        value: how the value of a choice is drawn: ``bins`` (a grid of ``bins`` points), ``beta`` or
            ``normal``.
        bins: number of grid points.

    Raises:
        InputError: a space that no policy here can act in.
    """
    for kind in KINDS:
        head = kind.make(space, value, bins)
        if head is not None:
            return head
    raise InputError(
        f"No policy here can act in {space}. Use Discrete, MultiDiscrete, MultiBinary, a Box of "
        "floats, a Box of whole numbers between bounds, or a Dict or Tuple of them, for example by "
        "a gymnasium wrapper that transforms the action."
    )
