"""A small GPT (Radford et al. 2019): pre-norm blocks, learnt positions, causal attention.

Shapes: N sequences of L tokens, vocabulary V, width w. Token 0 is "nothing" and stands to the right
of what is there; attention looks to the left only, so that it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

HEADS = 4


class Block(nn.Module):
    """Attention to what came before, and a feed-forward layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Transform [N, L, w] to [N, L, w]."""
        N, L, w = x.shape
        # [3, N, heads, L, w / heads]: one projection gives queries, keys and values of all heads.
        q, k, v = self.qkv(self.norm1(x)).view(N, L, 3, HEADS, w // HEADS).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        # Pre-norm residuals, which train without a warm-up at this depth.
        x = x + self.out(mixed.transpose(1, 2).reshape(N, L, w))
        return x + self.feed(self.norm2(x))


class GPT(nn.Module):
    """A small GPT: tokens to hidden states, and to logits of the next token.

    Args:
        vocabulary: how many tokens there are, V, "nothing" included.
        length: how long a text may be.
        width: of every block; a multiple of the 4 heads.
        layers: how many blocks.
    """

    def __init__(self, vocabulary: int, length: int, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.vocabulary, self.width = vocabulary, width
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(torch.empty(length, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.norm, self.words = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for weight in (self.tokens.weight, self.places, self.words.weight):
            nn.init.normal_(weight, std=0.02)

    def hidden(self, tokens: Tensor) -> Tensor:
        """Compute the hidden states [N, L, w] of tokens [N, L]."""
        x = self.tokens(tokens) + self.places[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute the logits [N, L, V] of the token that follows each token [N, L]."""
        return self.words(self.hidden(tokens))


class Mixing(nn.Module):
    """Mixing head: weighs the prediction after a thought (Zelikman et al. 2024, section 4.3).

    What is expected after a thought and what is expected without one are mixed, so that a thought
    which does not help can be passed over.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, words: Callable[[Tensor], Tensor], after: Tensor, without: Tensor) -> Tensor:
        """Mix hidden states with and without a thought [..., w] into logits of what follows."""
        # A convex mixture of logits: at 0 the prediction is the one without a thought.
        share = torch.sigmoid(self.head(torch.cat([after, without], -1)))
        return torch.lerp(words(without), words(after), share)
