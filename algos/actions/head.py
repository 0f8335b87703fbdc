"""Interface of every kind of action: a distribution, its NumPy arithmetic, and its translation.

RLlib's own distributions take no random generator (a runner could not be reproduced) and have no
masked or mixed actions. An action is a dict of columns that hold exactly what its log-probability
needs; its head turns them into the arguments of the environment's ``step``. Each kind of action is
one file of this folder; ``kinds.py`` lists them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, Self

import torch
from gymnasium import spaces
from torch import Tensor

from algos.actions.numpy_actions import Action, ActionColumns, Array, Mask, Noise, Scores


class ActionDistribution(Protocol):
    """N distributions over actions, one a row."""

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw one action a row, as columns ready to be stored."""
        ...

    def mode(self) -> Action:
        """Return the most likely action of each row; of several parts, that of each part."""
        ...

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return the log-probability (density) of stored actions ``[N]``."""
        ...

    def entropy(self) -> Tensor:
        """Return the entropy in nats ``[N]``, differential where the action is continuous."""
        ...

    def max_entropy(self) -> Tensor | None:
        """Return the entropy ``[N]`` of the uniform distribution, or None where there is none."""
        ...

    def choice_probabilities(self) -> Tensor | None:
        """Return the probabilities ``[N, A]`` of the discrete choice, or None without one."""
        ...

    def at_temperature(self, temperature: Tensor) -> ActionDistribution:
        """Return the distribution with the odds of its choices raised to 1 / temperature [1].

        Above 1 the odds draw nearer to each other, below 1 they part.
        """
        ...


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
        has_choices: whether a temperature changes anything about such actions.
    """

    size: int
    num_log_stds: int = 0
    choices: int = 0
    mask_size: int = 0
    columns: tuple[str, ...]
    has_choices: bool = True

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space

    @classmethod
    @abstractmethod
    def make(cls, space: spaces.Space[Any], value: str, bins: int) -> Self | None:
        """Return the head of a space; None for a space of another kind.

        Args:
            space: a single environment's action space.
            value: how the value of a choice is drawn (``choice_values.VALUES``).
            bins: number of grid points of such a value.
        """

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
        """Return action columns [B, ...] as the environment's batched action.

        Columns are arrays while a policy acts, and tensors while an export is traced
        (``to_array_like`` and ``to_dtype`` of ``array_backend.py``).
        """

    def compute_action_metrics(self, action: ActionColumns) -> dict[str, float]:
        """Return metrics of a rollout's actions (names in ``rungwise/metrics.py``)."""
        return {}

    @abstractmethod
    def to_action_columns(self, action: Any) -> dict[str, Array]:
        """Return the environment's batched action as action columns [B, ...]."""

    @property
    def kind(self) -> str:
        """Name by which a saved policy knows which kind its outputs are for."""
        return type(self).__name__

    # Perceptrons on a CPU act and learn with NumPy, where a call costs a fraction of torch's.

    @property
    @abstractmethod
    def on_numpy(self) -> bool:
        """Whether the three methods below compute such actions."""

    def score(self, outputs: Array, action: ActionColumns, log_std: Array, mask: Mask) -> Scores:
        """Score actions, columns ``[N, ...]``, under the distributions of outputs ``[N, size]``.

        Args:
            outputs: the network's.
            action: the columns of the head.
            log_std: log standard deviations ``[L]``.
            mask: legal choices ``[N, mask_size]``.
        """
        raise NotImplementedError

    def count_noise(self) -> Noise:
        """Return how many numbers of each kind an action takes."""
        raise NotImplementedError

    def draw(self, outputs: Array, noise: Noise, std: Array, mask: Mask) -> dict[str, Array]:
        """Return action columns ``[B, ...]`` by the network's outputs ``[B, size]`` and noise.

        Args:
            outputs: the network's.
            noise: as many numbers for each row as :meth:`count_noise` says.
            std: standard deviations ``[L]`` of values.
            mask: legal choices ``[B, mask_size]``.
        """
        raise NotImplementedError


def select_part_columns(name: str, action: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of one part of an action, under their own names."""
    start = f"{name}."
    return {c.removeprefix(start): v for c, v in action.items() if c.startswith(start)}
