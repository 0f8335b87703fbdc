"""Actions on NumPy: their columns, and what drawing and scoring them takes.

Perceptrons on a CPU act and learn by these, where a call costs a fraction of torch's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from torch import Tensor

Array: TypeAlias = np.ndarray[Any, Any]
Action: TypeAlias = dict[str, Tensor]
ActionColumns: TypeAlias = Mapping[str, Array]

Mask: TypeAlias = Array | None
"""Legal choices ``[N, mask_size]``; None: all are."""

NO_SPREAD = np.zeros(0, np.float32)
"""Log standard deviations where there are none."""


class Scores(Protocol):
    """N stored actions, scored under as many distributions.

    What autograd would find, without the calls that it takes to find it: of a minibatch of a small
    network those are most of the time. The tests compare each kind with autograd.
    """

    logp: Array
    """Log-probability (density) of each action ``[N]``."""

    @property
    def entropy(self) -> Array:
        """Entropy of each distribution ``[N]``."""
        ...

    def backpropagate(self, by_logp: Array, by_entropy: float | Array) -> tuple[Array, Array]:
        """Return the derivatives of outputs ``[N, size]`` and of log standard deviations ``[L]``.

        Args:
            by_logp: derivatives by the log-probabilities ``[N]``.
            by_entropy: those by the entropies ``[N]``, or one number for all of them.
        """
        ...


class Noise(NamedTuple):
    """Noise of one step, or the numbers of each kind that an action takes."""

    gumbel: Any
    """For choices ``[B, G]``: the highest sum of logit and Gumbel noise is a draw."""
    normal: Any
    """For values ``[B, D]``."""


class JointScores:
    """Independent parts, whose outputs lie side by side."""

    def __init__(self, parts: list[Scores]) -> None:
        self.parts = parts
        self.logp = sum(part.logp for part in parts[1:]) + parts[0].logp

    @property
    def entropy(self) -> Array:
        """See :class:`Scores`."""
        return sum(part.entropy for part in self.parts[1:]) + self.parts[0].entropy

    def backpropagate(self, by_logp: Array, by_entropy: float | Array) -> tuple[Array, Array]:
        """See :class:`Scores`."""
        gradients = [part.backpropagate(by_logp, by_entropy) for part in self.parts]
        outputs, spreads = zip(*gradients, strict=True)
        return np.concatenate(outputs, -1), np.concatenate(spreads)
