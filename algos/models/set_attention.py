"""A permutation-equivariant policy over the nodes of a graph.

Reads a Dict observation with ``nodes [n, f]`` and, where there are any, ``parents [n, n]`` (1
where column j is a parent of row i), ``context [c]`` and ``mask [n]``. Renumbering the nodes
renumbers the choice probabilities and leaves the value as it is, and any number of nodes fits the
same weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, pairwise

import torch
from torch import Tensor, nn

from algos.models.base import MASK, PolicyModule, initialise_linear
from rungwise.validation import InputError

HEADS = 4


def encode_relations(parents: Tensor) -> Tensor:
    """Return relations [N, n, n, 6] of nodes j to nodes i from parents [N, n, n].

    Channels: itself, parent, child, ancestor, descendant, co-parent (they share a child).
    """
    itself = torch.eye(parents.shape[-1], device=parents.device).expand_as(parents)
    ancestors = parents
    # Transitive closure by squaring: each round doubles the length of the paths that are
    # covered, and no path in a graph of n nodes needs more than n - 1 edges.
    for _ in range((parents.shape[-1] - 1).bit_length()):
        ancestors = ((ancestors + ancestors @ ancestors) > 0).to(parents.dtype)
    # Entry (i, j) counts the children of both; the diagonal counts one's children and is
    # removed.
    shared = ((parents.mT @ parents) > 0).to(parents.dtype) * (1 - itself)
    kinds = [itself, parents, parents.mT, ancestors, ancestors.mT, shared]
    return torch.stack(kinds, -1)


class AttentionBlock(nn.Module):
    """Pre-norm attention over nodes, biased by their relations, and a feed-forward layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.bias = nn.Linear(6, HEADS, bias=False)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, related: Tensor, mask: Tensor) -> Tensor:
        """Map x [N, n, w] to [N, n, w], given relations [N, n, n, 6] and a mask [N, n]."""
        N, n, w = x.shape
        qkv = self.qkv(self.norm1(x)).view(N, n, 3, HEADS, w // HEADS)
        # Three of [N, HEADS, n, w / HEADS], the layout of torch's attention.
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        bias = self.bias(related).permute(0, 3, 1, 2)
        # Finite, because a row without any node would otherwise be NaN after the softmax.
        bias = bias.masked_fill(~mask[:, None, None, :], -1e9)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.out(mixed.transpose(1, 2).reshape(N, n, w))
        return x + self.feed(self.norm2(x))


class SetPolicy(PolicyModule):
    """Attention over nodes: a logit (and value parameters) for each, the value from their mean."""

    accepts_any_size = True

    def build(self) -> None:
        """Create the layers; the first hidden width is used for all blocks (and for the value).

        Raises:
            InputError: an observation without ``nodes``, or choices that are not the nodes.
        """
        nodes = self.observation_spaces.get("obs.nodes")
        if nodes is None or nodes.shape is None or nodes.shape[0] != self.head.choices:
            raise InputError(
                "The set model needs a Dict observation whose 'nodes' [n, f] are the choices of "
                f"the action, but the observation is {self.observation_space}. Use model='mlp'."
            )
        unread = set(self.observation_spaces) - {"obs.nodes", "obs.parents", "obs.context", MASK}
        if unread:
            raise InputError(
                f"The set model reads nodes, parents, context and mask; it would ignore {unread}."
            )
        self.names = [name for name in ("obs.context",) if name in self.observation_spaces]
        context = sum(int(self.observation_spaces[name].shape[0]) for name in self.names)  # type: ignore[index]
        widths = self.model_config["hidden"]
        width = widths[0]
        self.embed = nn.Linear(nodes.shape[1] + context, width)
        self.blocks = nn.ModuleList(AttentionBlock(width) for _ in widths)
        self.norm = nn.LayerNorm(width)
        self.policy = initialise_linear(nn.Linear(width, self.head.size // self.head.choices), 0.01)
        critic = (width, *(self.model_config["value_hidden"] or (width,)))
        layers = [(nn.Linear(*sizes), nn.GELU()) for sizes in pairwise(critic)]
        last = initialise_linear(nn.Linear(critic[-1], 1), 1.0)
        self.critic = nn.Sequential(*chain.from_iterable(layers), last)

    def compute_outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :class:`PolicyModule`."""
        nodes = batch["obs.nodes"].float()
        N, n, _ = nodes.shape
        context = [batch[name].float()[:, None].expand(N, n, -1) for name in self.names]
        parents = batch.get("obs.parents")
        related = encode_relations(nodes.new_zeros(N, n, n) if parents is None else parents.float())
        mask = batch.get(MASK)
        real = torch.ones(N, n, dtype=torch.bool, device=nodes.device)
        if mask is not None:
            # An illegal choice may still be a node that others depend on; only padding (no
            # features at all) is hidden from attention.
            real = mask.bool() | (nodes.abs().sum(-1) > 0)
        x = self.embed(torch.cat([nodes, *context], -1))
        for block in self.blocks:
            x = block(x, related, real)
        x = self.norm(x)
        # A mean, not a sum: the value keeps its scale for any number of nodes.
        share = real.float() / real.float().sum(-1, keepdim=True).clamp_min(1)
        return self.policy(x).flatten(1), self.critic((share[..., None] * x).sum(1))[:, 0]
