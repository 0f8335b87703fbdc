"""Recurrent memory of a policy: a GRU or an LSTM behind the encoders.

Acting, each row is one step from the state that it brings along. Learning, the rows are sequences
of steps, whose first rows are marked and hold the state at acting: it is where the sequence starts,
and no gradient passes beyond it (truncated back-propagation through time). A sequence never spans
two episodes, so that nothing is reset within one and torch's fused loop over time can be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

SEQUENCE_START = "sequence_start"
"""Column [N] of rows that lie copy by copy: true where a new copy or a new episode begins."""
STATES = {"gru": ("state.hidden",), "lstm": ("state.hidden", "state.cell")}
"""Kind of memory -> the state columns [B, width] that it needs."""
RECURRENT = STATES["lstm"]
"""All state columns that a network computes."""


class Memory(nn.Module):
    """One recurrent layer over features."""

    def __init__(self, kind: Literal["gru", "lstm"], inputs: int, width: int) -> None:
        """Create the layer, with zero biases as the other layers."""
        super().__init__()
        self.names, self.size = STATES[kind], width
        layer = nn.GRU if kind == "gru" else nn.LSTM
        self.core = layer(inputs, width, batch_first=True)
        for name, weight in self.core.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(weight)
            elif name.startswith("weight_hh"):
                # A matrix for each gate: orthogonal as one, each would shrink the state.
                for gate in weight.detach().split(width):
                    nn.init.orthogonal_(gate)
            else:
                # Variance 1 / inputs (LeCun et al. 1998), as in Flax: sums of features of size 1
                # have size 1. Orthogonal or torch's own weights leave a card of three at 0.06 to
                # 0.1, and what is remembered of it hardly reaches the policy: in 20k steps of
                # repeating the card before last, a GRU gets 28 of 30 with these and 21 with those.
                nn.init.normal_(weight, std=inputs**-0.5)

    def forward(
        self, features: Tensor, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is remembered at each row [N, width], and the state after it.

        Args:
            features: of the rows [N, F], those of a sequence after one another.
            batch: the state columns [N, width] and, at learning, which rows start sequences [N].
                The state after a row is returned at acting alone: learning starts from stored ones.
        """
        starts = batch.get(SEQUENCE_START)
        if starts is None:
            out, after = self._run(features[:, None], [batch[name] for name in self.names])
            return out[:, 0], dict(zip(self.names, after, strict=True))
        first = starts.nonzero()[:, 0]
        lengths = torch.diff(first, append=torch.full_like(first[:1], len(features)))
        padded = pad_sequence(list(features.split(lengths.tolist())), batch_first=True)
        real = torch.arange(padded.shape[1], device=first.device) < lengths[:, None]
        # Padding lies behind the steps, where it changes nothing that is read.
        out, _ = self._run(padded, [batch[name][first] for name in self.names])
        return out[real], {}

    def _run(self, steps: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return outputs [S, L, width] of steps [S, L, F] and the last states [S, width]."""
        # torch wants an axis of layers before the states.
        given = [column[None] for column in state]
        out, after = self.core(steps, given[0] if len(given) == 1 else tuple(given))
        last: list[Tensor] = [after] if len(given) == 1 else list(after)
        return out, [column[0] for column in last]
