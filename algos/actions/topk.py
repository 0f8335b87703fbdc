"""Ordered picks of several things out of each row: k edges of each node, a batch out of a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from algos.actions.array_backend import draw_exponential, to_dtype
from algos.actions.choices import ILLEGAL_LOGIT, Categorical
from algos.actions.head import ActionDistribution, ActionHead
from algos.actions.numpy_actions import Action, ActionColumns, Array


class TopK:
    """k different choices of each row, one after the other, without replacement.

    This is the distribution of Plackett and Luce: each pick is a softmax over what is left. An
    action is ``picks [N, R, k]``, in the order in which they were drawn; rows with fewer than k
    legal choices end in -1.

    Args:
        logits: ``[N, R, D]``, or ``[R, D]`` for a single one.
        mask: of the same shape, false where a choice is illegal; None: all are legal.
        k: how many to pick.

    >>> picks = TopK(torch.tensor([[[0.0, 3.0, 2.0]]]), None, k=2)
    >>> picks.mode()["picks"]
    tensor([[[1, 2]]])
    >>> picks.row_logp(picks.mode())
    tensor([[-0.4759]])
    """

    def __init__(self, logits: Tensor, mask: Tensor | None, k: int) -> None:
        self.mask = torch.ones_like(logits, dtype=torch.bool) if mask is None else mask.bool()
        self.logits = logits.masked_fill(~self.mask, ILLEGAL_LOGIT)
        self.k = min(k, logits.shape[-1])

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw by Gumbel top-k: the k highest of logits + Gumbel noise, highest first."""
        # The negative log of an exponential variable is Gumbel noise: subtracting its log
        # adds it.
        noise = draw_exponential(self.logits, generator).log()
        return self._pick_highest(self.logits - noise)

    def mode(self) -> Action:
        """Return the k highest logits, highest first: the most likely ordered picks."""
        return self._pick_highest(self.logits)

    def row_logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return the log-probability ``[N, R]`` of each row's ordered picks.

        sum_j (s_j - log(sum of exp s over what pick j and later picks and the rest leave)): the
        sums are one cumulative sum from the last pick backwards, started from the rest.
        """
        picks = action["picks"]
        real = picks >= 0
        index = picks.clamp_min(0)
        chosen = self.logits.gather(-1, index)
        # Added, not assigned: padding points at index 0, too, and must not undo a real pick of 0.
        taken = torch.zeros_like(self.logits).scatter_add(-1, index, real.to(chosen.dtype)) > 0
        # In logs: 1 minus the picks' probabilities would round to 0 after one very likely
        # pick.
        rest = self.logits.masked_fill(taken, ILLEGAL_LOGIT).logsumexp(-1, keepdim=True)
        # [N, R, 1 + k]: the rest, then the picks from last to first. Padding adds
        # exp(-1e30) = 0.
        backwards = torch.cat([rest, chosen.masked_fill(~real, ILLEGAL_LOGIT).flip(-1)], -1)
        # Without the first entry and turned round: entry j is the log-sum-exp that pick j
        # chose from.
        remaining = backwards.logcumsumexp(-1)[..., 1:].flip(-1)
        return torch.where(real, chosen - remaining, 0.0).sum(-1)

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Sum over the rows ``[N]``.

        Of thousands of rows it moves by tens within a few updates: take ratios by row.
        """
        return self.row_logp(action).sum(-1)

    def row_entropy(self) -> Tensor:
        """Return the first pick's entropy ``[N, R]``; that of all k has no closed form."""
        entropy = Categorical(self.logits).entropy()
        # With no legal choice all logits are equal, which would count as the largest entropy.
        return torch.where(self.mask.any(-1), entropy, 0.0)

    def entropy(self) -> Tensor:
        """Sum over the rows of the entropy of the first pick, in nats ``[N]``."""
        return self.row_entropy().sum(-1)

    def max_entropy(self) -> Tensor:
        """Return the same entropy ``[N]`` where every legal choice is equally likely."""
        # A row without legal choices counts ln 1 = 0, not -inf.
        return self.mask.sum(-1).clamp_min(1).to(self.logits.dtype).log().sum(-1)

    def choice_probabilities(self) -> None:
        """Return None: there is no single choice."""

    def at_temperature(self, temperature: Tensor) -> TopK:
        """See :class:`ActionDistribution`."""
        return TopK(self.logits / temperature, self.mask, self.k)

    def _pick_highest(self, scores: Tensor) -> Action:
        picks = scores.topk(self.k, -1).indices
        # topk fills up with illegal choices where there are too few legal ones.
        return {"picks": picks.where(self.mask.gather(-1, picks), -1)}


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

    @classmethod
    def make(cls, space: spaces.Space[Any], value: str, bins: int) -> Self | None:
        """See :class:`ActionHead`."""
        if not (isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.integer)):
            return None
        return cls(space) if len(space.shape) == 2 and (space.low == -1).all() else None

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
        return to_dtype(action["picks"], self.space.dtype)

    def to_action_columns(self, action: Array) -> dict[str, Array]:
        """See :class:`ActionHead`."""
        return {"picks": np.asarray(action, np.int64)}

    @property
    def on_numpy(self) -> bool:
        """Never."""
        return False


def log_probabilities(
    dist: ActionDistribution | TopK, action: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return ``logp [N]`` of an action and, where it is made of rows, ``row_logp [N, R]``."""
    if not isinstance(dist, TopK):
        return {"logp": dist.logp(action)}
    by_row = dist.row_logp(action)
    return {"logp": by_row.sum(-1), "row_logp": by_row}


def entropy_per_choice(dist: ActionDistribution | TopK) -> Tensor:
    """Return the entropy in nats ``[N]`` of an action, averaged over its rows if it has any.

    The entropy bonus uses it, so that its weight does not depend on the size of the graph.
    """
    return dist.row_entropy().mean(-1) if isinstance(dist, TopK) else dist.entropy()
