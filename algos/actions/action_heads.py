"""Action heads: from a network's numbers to actions, for each kind of action space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from algos.actions.bounds import has_bounds
from algos.actions.distributions import (
    ILLEGAL_LOGIT,
    ActionDistribution,
    BetaValue,
    BinnedValue,
    Categorical,
    ChoiceWithValue,
    Gaussian,
    MultiCategorical,
    NormalValue,
    Product,
    ValueDistribution,
    select_part_columns,
)
from algos.actions.topk import TopK
from envs.action_masks import count_choices
from envs.validation import InputError

Array = np.ndarray[Any, Any]
ActionColumns = Mapping[str, Array]


class ActionHead(ABC):
    """Translation between a network's numbers, a distribution and the actions of one space.

    Attributes:
        space: the single environment's action space.
        size: numbers that the network computes for an observation; 0: as many as the observation
            has things to pick from.
        num_log_stds: parameters that do not depend on the observation (L).
        choices: options of the one discrete choice; 0 where there is not exactly one.
        mask_size: options that a mask of legal actions names; 0 where no mask is obeyed.
        columns: names of the action columns.
    """

    size: int
    num_log_stds: int = 0
    choices: int = 0
    mask_size: int = 0
    columns: tuple[str, ...]

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space

    @abstractmethod
    def dist(
        self, outputs: Tensor, log_std: Tensor | None = None, mask: Tensor | None = None
    ) -> ActionDistribution:
        """Return N distributions from outputs [N, size], log_std [L] and mask [N, choices]."""

    @abstractmethod
    def label_outputs(self, outputs: Tensor, log_std: Tensor) -> dict[str, Tensor]:
        """Return the network's numbers by the part of the action that they parametrise.

        Used on gradients, too: a part whose numbers get no gradient is never learnt.
        """

    @abstractmethod
    def to_env_action(self, action: ActionColumns) -> Any:
        """Return action columns [B, ...] as the environment's batched action."""

    def compute_action_metrics(self, action: ActionColumns) -> dict[str, float]:
        """Return metrics of a rollout's actions (names in ``algos/metrics.py``)."""
        return {}

    @abstractmethod
    def to_action_columns(self, action: Any) -> dict[str, Array]:
        """Return the environment's batched action as action columns [B, ...]."""


class DiscreteHead(ActionHead):
    """One logit for each choice."""

    space: spaces.Discrete
    columns = ("choice",)

    def __init__(self, space: spaces.Discrete) -> None:
        super().__init__(space)
        self.size = self.choices = self.mask_size = int(space.n)

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
        return action["choice"] + self.space.start

    def to_action_columns(self, action: Any) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        return {"choice": np.asarray(action, np.int64) - self.space.start}


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
        shifted = action["choices"] + self.start
        return shifted.reshape(-1, *(self.space.shape or ())).astype(self.space.dtype)

    def to_action_columns(self, action: Any) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        flat = np.asarray(action, np.int64).reshape(len(action), -1)
        return {"choices": flat - self.start}


class BoxHead(ActionHead):
    """A mean for each value and a standard deviation that does not depend on the observation."""

    space: spaces.Box
    columns = ("value",)

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space)
        self.size = self.num_log_stds = int(np.prod(space.shape))
        self.bounded = has_bounds(space)

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
        space = self.space
        value = action["value"].reshape(-1, *space.shape)
        if self.bounded:
            value = space.low + (value + 1) / 2 * (space.high - space.low)
        # Only the environment gets the clipped value. Stored is the draw itself, whose
        # density the Gaussian knows; a clipped one would have a point mass at each bound.
        return value.clip(space.low, space.high).astype(space.dtype)

    def compute_action_metrics(self, action: ActionColumns) -> dict[str, float]:
        """Return the fraction of values beyond their bounds, which ``to_env_action`` clips."""
        if not self.bounded:
            return {}
        return {"action_clip_fraction": float((np.abs(action["value"]) > 1).mean())}

    def to_action_columns(self, action: Any) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        value, space = np.asarray(action, np.float32), self.space
        if self.bounded:
            width = space.high - space.low
            # Of a single value any number would do, and 0 is what the network begins with.
            value = np.where(
                width > 0, 2 * (value - space.low) / np.where(width > 0, width, 1) - 1, 0
            )
        return {"value": value.reshape(len(value), -1).astype(np.float32)}


class TopKHead(ActionHead):
    """One logit for each thing that each of R rows may pick: ordered picks of k of them.

    Actions are ``picks [R, k]``: numbers within their row, -1 where nothing is left.
    """

    space: spaces.Box
    columns = ("picks",)
    size = 0

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space)
        self.rows, self.k = space.shape

    def dist(
        self, outputs: Tensor, log_std: Tensor | None = None, mask: Tensor | None = None
    ) -> ActionDistribution:
        """Return distributions from outputs [N, R, D]; ``ILLEGAL_LOGIT`` marks illegal choices."""
        # Half the marker as threshold: float32 rounds -1e30, and no score comes near either
        # number.
        return TopK(outputs, outputs > ILLEGAL_LOGIT / 2, self.k)

    def label_outputs(self, outputs: Tensor, log_std: Tensor) -> dict[str, Tensor]:
        """See :class:`ActionHead`."""
        return {"picks": outputs}

    def to_env_action(self, action: ActionColumns) -> Any:
        """See :class:`ActionHead`."""
        return action["picks"].astype(self.space.dtype)

    def to_action_columns(self, action: Any) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        return {"picks": np.asarray(action, np.int64)}


VALUES: Mapping[str, type[ValueDistribution]] = {
    "bins": BinnedValue,
    "beta": BetaValue,
    "normal": NormalValue,
}
"""How the value of a choice is drawn, by the setting ``value_distribution``."""


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
        self.mask_size = self.choices
        self.value = VALUES[value]
        self.num_log_stds = int(value == "normal")
        self.per_choice = 1 + {"bins": bins, "beta": 2, "normal": 1}[value]
        self.size = self.choices * self.per_choice

    def dist(
        self, outputs: Tensor, log_std: Tensor | None = None, mask: Tensor | None = None
    ) -> ActionDistribution:
        """See :class:`ActionHead`; any number of choices is acted among."""
        # [N, A * per_choice] -> [N, A, per_choice], A taken from the outputs and not from
        # the space: a model over nodes also acts in environments with another number of
        # nodes.
        each = outputs.view(len(outputs), -1, self.per_choice)
        if self.num_log_stds:
            spread = outputs.new_zeros(1) if log_std is None else log_std
            # The same log standard deviation behind each mean: NormalValue reads pairs
            # of both.
            each = torch.cat([each, spread.expand(*each.shape[:2], 1)], -1)
        return ChoiceWithValue(each, mask, self.value)

    def label_outputs(self, outputs: Tensor, log_std: Tensor) -> dict[str, Tensor]:
        """See :class:`ActionHead`."""
        each = outputs.view(len(outputs), -1, self.per_choice)
        spread = {"value (spread)": log_std} if self.num_log_stds else {}
        return {"choice": each[..., 0], "value": each[..., 1:]} | spread

    def to_env_action(self, action: ActionColumns) -> Any:
        """See :class:`ActionHead`."""
        value = action["value"].astype(np.float32)
        return {"choice": action["choice"] + self.start, "value": value}

    def to_action_columns(self, action: Any) -> dict[str, Array]:
        """Return the action's columns, values just inside the ends (a Beta density's domain)."""
        value = np.asarray(action["value"], np.float32).clip(-1 + 1e-6, 1 - 1e-6)
        return {"choice": np.asarray(action["choice"], np.int64) - self.start, "value": value}


class ProductHead(ActionHead):
    """Independent heads for the parts of a Dict or Tuple."""

    def __init__(self, space: spaces.Dict | spaces.Tuple, parts: Mapping[str, ActionHead]) -> None:
        super().__init__(space)
        self.parts = parts
        self.columns = tuple(f"{n}.{c}" for n, part in parts.items() for c in part.columns)
        self.size = sum(part.size for part in parts.values())
        self.num_log_stds = sum(part.num_log_stds for part in parts.values())

    def dist(
        self, outputs: Tensor, log_std: Tensor | None = None, mask: Tensor | None = None
    ) -> ActionDistribution:
        """See :class:`ActionHead`."""
        if log_std is None:
            log_std = outputs.new_zeros(self.num_log_stds)
        return Product({n: part.dist(*own) for n, part, *own in self._split(outputs, log_std)})

    def label_outputs(self, outputs: Tensor, log_std: Tensor) -> dict[str, Tensor]:
        """See :class:`ActionHead`."""
        return {
            f"{name}.{inner}": numbers
            for name, part, *own in self._split(outputs, log_std)
            for inner, numbers in part.label_outputs(*own).items()
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

    def to_action_columns(self, action: Any) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        parts: Any = action.items() if isinstance(action, Mapping) else enumerate(action)
        named = {str(name): part for name, part in parts}
        return {
            f"{name}.{column}": values
            for name, part in self.parts.items()
            for column, values in part.to_action_columns(named[name]).items()
        }


def make_action_head(space: spaces.Space[Any], value: str = "bins", bins: int = 21) -> ActionHead:
    """Return the head for an action space.

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
    # Before the general Dict: here the value depends on the choice; a ProductHead would draw
    # both independently.
    if isinstance(space, spaces.Dict) and _is_choice_with_value(space):
        return ChoiceWithValueHead(space, value, bins)
    if isinstance(space, spaces.Dict | spaces.Tuple) and len(space):
        named = space.items() if isinstance(space, spaces.Dict) else enumerate(space)
        parts = {str(n): make_action_head(part, value, bins) for n, part in named}
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
