"""From a network's numbers to actions, for each kind of action space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from algos.distributions import (
    FORBIDDEN,
    BetaValue,
    BinnedValue,
    Categorical,
    Choose,
    Dist,
    Gaussian,
    MultiCategorical,
    NormalValue,
    Product,
    Value,
    columns_of,
)
from algos.topk import TopK
from envs.validation import InputError

Array = np.ndarray[Any, Any]
Columns = Mapping[str, Array]


class Head(ABC):
    """Acts in one space.

    Attributes:
        space: the single environment's action space.
        size: numbers that the network gives for an observation; 0: as many as the observation has
            things to pick from.
        free: parameters that do not depend on the observation (log standard deviations).
        choices: options of the one discrete choice; 0 where there is not exactly one.
        columns: names of the action columns.
    """

    size: int
    free: int = 0
    choices: int = 0
    columns: tuple[str, ...]

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space

    @abstractmethod
    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """outputs [N, size], free [free], mask [N, choices] -> N distributions."""

    @abstractmethod
    def named(self, outputs: Tensor, free: Tensor) -> dict[str, Tensor]:
        """outputs [N, size], free [free] -> the same numbers by the part of the action they shape.

        For gradients too: a part whose numbers nothing pulls at is never learnt.
        """

    @abstractmethod
    def env_action(self, action: Columns) -> Any:
        """Action columns [B, ...] as the environment's batched action."""

    def condition(self, action: Columns) -> dict[str, float]:
        """What a rollout's actions say about the policy (names in ``algos/metrics.py``)."""
        return {}

    @abstractmethod
    def stored(self, action: Any) -> dict[str, Array]:
        """The environment's batched action as action columns [B, ...]."""


class DiscreteHead(Head):
    """A logit for each choice."""

    space: spaces.Discrete
    columns = ("choice",)

    def __init__(self, space: spaces.Discrete) -> None:
        super().__init__(space)
        self.size = self.choices = int(space.n)

    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """See :class:`Head`."""
        return Categorical(outputs, mask)

    def named(self, outputs: Tensor, free: Tensor) -> dict[str, Tensor]:
        """See :class:`Head`."""
        return {"choice": outputs}

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`."""
        return action["choice"] + self.space.start

    def stored(self, action: Any) -> dict[str, Array]:
        """See :class:`Head`."""
        return {"choice": np.asarray(action, np.int64) - self.space.start}


class MultiDiscreteHead(Head):
    """A logit for each option of each choice; MultiBinary is a row of choices between 0 and 1."""

    columns = ("choices",)

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

    def named(self, outputs: Tensor, free: Tensor) -> dict[str, Tensor]:
        """See :class:`Head`."""
        return {f"choices.{i}": part for i, part in enumerate(outputs.split(self.sizes, -1))}

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`."""
        shifted = action["choices"] + self.start
        return shifted.reshape(-1, *(self.space.shape or ())).astype(self.space.dtype)

    def stored(self, action: Any) -> dict[str, Array]:
        """See :class:`Head`."""
        flat = np.asarray(action, np.int64).reshape(len(action), -1)
        return {"choices": flat - self.start}


class BoxHead(Head):
    """A mean for each value and a standard deviation that does not depend on the observation."""

    space: spaces.Box
    columns = ("value",)

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space)
        self.size = self.free = int(np.prod(space.shape))

    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """See :class:`Head`."""
        return Gaussian(outputs, outputs.new_zeros(self.free) if free is None else free)

    def named(self, outputs: Tensor, free: Tensor) -> dict[str, Tensor]:
        """See :class:`Head`."""
        means = {f"value.{i} (mean)": outputs[:, i] for i in range(self.size)}
        return means | {f"value.{i} (spread)": free[i] for i in range(self.free)}

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`. Bounded values are in units of half the range around its middle."""
        space = self.space
        value = action["value"].reshape(-1, *space.shape)
        if space.is_bounded():
            value = space.low + (value + 1) / 2 * (space.high - space.low)
        return value.clip(space.low, space.high).astype(space.dtype)

    def condition(self, action: Columns) -> dict[str, float]:
        """The share of values beyond their bounds, which ``env_action`` cuts off."""
        if not self.space.is_bounded():
            return {}
        return {"action_clipped_share": float((np.abs(action["value"]) > 1).mean())}

    def stored(self, action: Any) -> dict[str, Array]:
        """See :class:`Head`."""
        value, space = np.asarray(action, np.float32), self.space
        if space.is_bounded():
            value = 2 * (value - space.low) / (space.high - space.low) - 1
        return {"value": value.reshape(len(value), -1).astype(np.float32)}


class TopKHead(Head):
    """A logit for each thing that each of R rows may pick: ordered picks of k of them.

    Actions are ``picks [R, k]``: numbers within their row, -1 where nothing is left.
    """

    space: spaces.Box
    columns = ("picks",)
    size = 0

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space)
        self.rows, self.k = space.shape

    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """outputs [N, R, D], ``FORBIDDEN`` where a row has no such choice, D at least k."""
        return TopK(outputs, outputs > FORBIDDEN / 2, self.k)

    def named(self, outputs: Tensor, free: Tensor) -> dict[str, Tensor]:
        """See :class:`Head`."""
        return {"picks": outputs}

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`."""
        return action["picks"].astype(self.space.dtype)

    def stored(self, action: Any) -> dict[str, Array]:
        """See :class:`Head`."""
        return {"picks": np.asarray(action, np.int64)}


VALUES: Mapping[str, type[Value]] = {
    "bins": BinnedValue,
    "beta": BetaValue,
    "normal": NormalValue,
}
"""How the value of a choice is drawn, by the setting ``value_distribution``."""


class ChooseHead(Head):
    """A logit for each choice and the parameters of its value.

    Normal values have one spread for all choices, which does not depend on the observation: so any
    number of choices fits, and it can be steered from outside.
    """

    columns = ("choice", "value")

    def __init__(self, space: spaces.Dict, value: str, bins: int) -> None:
        super().__init__(space)
        choice: Any = space["choice"]
        self.choices, self.start = int(choice.n), int(choice.start)
        self.value = VALUES[value]
        self.free = int(value == "normal")
        self.per_choice = 1 + {"bins": bins, "beta": 2, "normal": 1}[value]
        self.size = self.choices * self.per_choice

    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """See :class:`Head`; any number of choices is acted among."""
        each = outputs.view(len(outputs), -1, self.per_choice)
        if self.free:
            spread = outputs.new_zeros(1) if free is None else free
            each = torch.cat([each, spread.expand(*each.shape[:2], 1)], -1)
        return Choose(each, mask, self.value)

    def named(self, outputs: Tensor, free: Tensor) -> dict[str, Tensor]:
        """See :class:`Head`."""
        each = outputs.view(len(outputs), -1, self.per_choice)
        spread = {"value (spread)": free} if self.free else {}
        return {"choice": each[..., 0], "value": each[..., 1:]} | spread

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`."""
        value = action["value"].astype(np.float32)
        return {"choice": action["choice"] + self.start, "value": value}

    def stored(self, action: Any) -> dict[str, Array]:
        """See :class:`Head`. A value lies just inside the ends, where a Beta density is defined."""
        value = np.asarray(action["value"], np.float32).clip(-1 + 1e-6, 1 - 1e-6)
        return {"choice": np.asarray(action["choice"], np.int64) - self.start, "value": value}


class ProductHead(Head):
    """Independent heads for the parts of a Dict or Tuple."""

    def __init__(self, space: spaces.Dict | spaces.Tuple, parts: Mapping[str, Head]) -> None:
        super().__init__(space)
        self.parts = parts
        self.columns = tuple(f"{n}.{c}" for n, part in parts.items() for c in part.columns)
        self.size = sum(part.size for part in parts.values())
        self.free = sum(part.free for part in parts.values())

    def dist(self, outputs: Tensor, free: Tensor | None = None, mask: Tensor | None = None) -> Dist:
        """See :class:`Head`."""
        if free is None:
            free = outputs.new_zeros(self.free)
        return Product({n: part.dist(*own) for n, part, *own in self._split(outputs, free)})

    def named(self, outputs: Tensor, free: Tensor) -> dict[str, Tensor]:
        """See :class:`Head`."""
        return {
            f"{name}.{inner}": numbers
            for name, part, *own in self._split(outputs, free)
            for inner, numbers in part.named(*own).items()
        }

    def _split(self, outputs: Tensor, free: Tensor) -> Iterator[tuple[str, Head, Tensor, Tensor]]:
        """The name of each part, its head, and its share of the numbers."""
        split = outputs.split([part.size for part in self.parts.values()], -1)
        frees = free.split([part.free for part in self.parts.values()])
        return zip(self.parts, self.parts.values(), split, frees, strict=True)

    def env_action(self, action: Columns) -> Any:
        """See :class:`Head`."""
        parts = {n: part.env_action(columns_of(n, action)) for n, part in self.parts.items()}
        return parts if isinstance(self.space, spaces.Dict) else tuple(parts.values())

    def stored(self, action: Any) -> dict[str, Array]:
        """See :class:`Head`."""
        parts: Any = action.items() if isinstance(action, Mapping) else enumerate(action)
        named = {str(name): part for name, part in parts}
        return {
            f"{name}.{column}": values
            for name, part in self.parts.items()
            for column, values in part.stored(named[name]).items()
        }


def head_for(space: spaces.Space[Any], value: str = "bins", bins: int = 21) -> Head:
    """The head for an action space.

    Args:
        space: Discrete, MultiDiscrete, MultiBinary, a Box of floats, or a Dict or Tuple of them;
            Dict(choice=Discrete, value=Box(-1, 1)) is a choice with a value of its own, and a Box
            of whole numbers from -1 [R, k] are k picks in each of R rows.
        value: how the value of a choice is drawn: ``bins`` (a grid of ``bins`` points), ``beta`` or
            ``normal``.
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
    if isinstance(space, spaces.Box) and len(space.shape) == 2 and (space.low == -1).all():
        return TopKHead(space)
    if isinstance(space, spaces.Dict) and _is_choice_with_value(space):
        return ChooseHead(space, value, bins)
    if isinstance(space, spaces.Dict | spaces.Tuple) and len(space):
        named = space.items() if isinstance(space, spaces.Dict) else enumerate(space)
        parts = {str(n): head_for(part, value, bins) for n, part in named}
        if all(part.size for part in parts.values()):  # picks go with nothing else
            return ProductHead(space, parts)
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
