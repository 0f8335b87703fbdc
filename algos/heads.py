"""From a network's numbers to actions, for each kind of action space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from torch import Tensor

from algos.distributions import (
    BetaValue,
    BinnedValue,
    Categorical,
    Choose,
    Dist,
    Gaussian,
    MultiCategorical,
    Product,
    columns_of,
)
from envs.validation import InputError

Columns = Mapping[str, np.ndarray[Any, Any]]


class Head(ABC):
    """Acts in one space.

    Attributes:
        space: the single environment's action space.
        size: numbers that the network gives for an observation.
        free: parameters that do not depend on the observation (log standard deviations).
        choices: options of the one discrete choice; 0 where there is not exactly one.
    """

    size: int
    free: int = 0
    choices: int = 0

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space

    @abstractmethod
    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """outputs [N, size], free [free], mask [N, choices] -> N distributions."""

    @abstractmethod
    def env_action(self, action: Columns) -> Any:
        """Action columns [B, ...] as the environment's batched action."""


class DiscreteHead(Head):
    """A logit for each choice."""

    space: spaces.Discrete

    def __init__(self, space: spaces.Discrete) -> None:
        super().__init__(space)
        self.size = self.choices = int(space.n)

    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """See :class:`Head`."""
        return Categorical(outputs, mask)

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`."""
        return action["choice"] + self.space.start


class MultiDiscreteHead(Head):
    """A logit for each option of each choice; MultiBinary is a row of choices between 0 and 1."""

    def __init__(self, space: spaces.MultiDiscrete | spaces.MultiBinary) -> None:
        super().__init__(space)
        if isinstance(space, spaces.MultiBinary):
            self.sizes, self.start = [2] * int(np.prod(space.shape)), np.zeros(1, np.int64)
        else:
            self.sizes, self.start = [int(n) for n in space.nvec.flat], space.start.flatten()
        self.size = sum(self.sizes)

    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """See :class:`Head`."""
        return MultiCategorical([Categorical(part) for part in outputs.split(self.sizes, -1)])

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`."""
        shifted = action["choices"] + self.start
        return shifted.reshape(-1, *(self.space.shape or ())).astype(self.space.dtype)


class BoxHead(Head):
    """A mean for each value and a standard deviation that does not depend on the observation."""

    space: spaces.Box

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space)
        self.size = self.free = int(np.prod(space.shape))

    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """See :class:`Head`."""
        return Gaussian(outputs, outputs.new_zeros(self.free) if free is None else free)

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`. Bounded values are in units of half the range around its middle."""
        space = self.space
        value = action["value"].reshape(-1, *space.shape)
        if space.is_bounded():
            value = space.low + (value + 1) / 2 * (space.high - space.low)
        return value.clip(space.low, space.high).astype(space.dtype)


class ChooseHead(Head):
    """A logit for each choice and the parameters of its value."""

    def __init__(self, space: spaces.Dict, value: str, bins: int) -> None:
        super().__init__(space)
        choice: Any = space["choice"]
        self.choices, self.start = int(choice.n), int(choice.start)
        self.value = BinnedValue if value == "bins" else BetaValue
        self.per_choice = 1 + (bins if value == "bins" else 2)
        self.size = self.choices * self.per_choice

    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """See :class:`Head`; any number of choices is acted among."""
        return Choose(outputs.view(len(outputs), -1, self.per_choice), mask, self.value)

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`."""
        value = action["value"].astype(np.float32)
        return {"choice": action["choice"] + self.start, "value": value}


class ProductHead(Head):
    """Independent heads for the parts of a Dict or Tuple."""

    def __init__(self, space: spaces.Dict | spaces.Tuple, parts: Mapping[str, Head]) -> None:
        super().__init__(space)
        self.parts = parts
        self.size = sum(part.size for part in parts.values())
        self.free = sum(part.free for part in parts.values())

    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """See :class:`Head`."""
        if free is None:
            free = outputs.new_zeros(self.free)
        split = outputs.split([part.size for part in self.parts.values()], -1)
        frees = free.split([part.free for part in self.parts.values()])
        parts = zip(self.parts.items(), split, frees, strict=True)
        return Product({name: part.dist(out, own) for (name, part), out, own in parts})

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`."""
        parts = {n: part.env_action(columns_of(n, action)) for n, part in self.parts.items()}
        return parts if isinstance(self.space, spaces.Dict) else tuple(parts.values())


def head_for(space: spaces.Space[Any], value: str = "bins", bins: int = 21) -> Head:
    """The head for an action space.

    Args:
        space: Discrete, MultiDiscrete, MultiBinary, a Box of floats, or a Dict or Tuple of them;
            Dict(choice=Discrete, value=Box(-1, 1)) is a choice with a value of its own.
        value: ``bins`` (a grid of ``bins`` points) or ``beta``: how the value of a choice is drawn.
        bins: number of grid points.

    Raises:
        InputError: a space that no policy here can act in.
    """
    if isinstance(space, spaces.Discrete):
        return DiscreteHead(space)
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        return MultiDiscreteHead(space)
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return BoxHead(space)
    if isinstance(space, spaces.Dict) and _is_choice_with_value(space):
        return ChooseHead(space, value, bins)
    if isinstance(space, spaces.Dict | spaces.Tuple) and len(space):
        named = space.items() if isinstance(space, spaces.Dict) else enumerate(space)
        return ProductHead(space, {str(n): head_for(part, value, bins) for n, part in named})
    raise InputError(
        f"No policy here can act in {space}. Use Discrete, MultiDiscrete, MultiBinary, a Box of "
        "floats, or a Dict or Tuple of them, for example by a gymnasium wrapper that transforms "
        "the action."
    )


def _is_choice_with_value(space: spaces.Dict) -> bool:
    if set(space) != {"choice", "value"}:
        return False
    choice, value = space["choice"], space["value"]
    return (
        isinstance(choice, spaces.Discrete)
        and isinstance(value, spaces.Box)
        and value.shape == ()
        and (float(value.low), float(value.high)) == (-1.0, 1.0)
    )
