"""A policy over the nodes and edges of a graph of any size.

Reads a Dict observation with ``nodes [n, f]``, ``edges [2, E]`` sorted by their first row,
``edge_features [E, g]``, ``node_mask [n]``, ``edge_mask [E]`` and, where there are any, ``legal
[E]`` (edges that may be picked) and ``summary [c]``. Graphs of a batch become one large graph, and
what is padding is never looked at. Messages run both ways along an edge: in a triangular matrix,
or where each undirected edge is listed once, half of the nodes would otherwise never hear of the
others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from algos.actions.choices import ILLEGAL_LOGIT
from algos.actions.topk import TopKHead
from algos.models.base import PolicyModule, initialise_linear
from rungwise.validation import InputError

SCORE_WIDTH = 32
"""Width of what an edge's score is made from."""


@dataclass(frozen=True)
class PackedEdges:
    """M edges of N graphs with n nodes each as one graph of N n nodes."""

    graph: Tensor
    """[M]: which graph an edge is of."""
    number: Tensor
    """[M]: its number within its graph."""
    rows: Tensor
    """[M]: the node whose edge it is, in order."""
    columns: Tensor
    """[M]: the node it leads to."""
    starts: Tensor
    """[N n]: where each node's edges begin."""
    back: Tensor
    """[M]: the edges in the order of the nodes they lead to."""
    back_starts: Tensor
    """[N n]: where in that order the edges to each node begin."""

    @classmethod
    def from_padded(cls, edges: Tensor, mask: Tensor, nodes: int) -> PackedEdges:
        """Build from edges [N, 2, E] and the mask [N, E] of those that are real."""
        # nonzero lists the edges graph by graph, so ``rows`` stays sorted, as the offsets
        # of embedding_bag need. Adding graph * nodes numbers the nodes of all graphs
        # consecutively.
        graph, number = mask.nonzero(as_tuple=True)
        rows, columns = edges[graph, :, number].T.contiguous() + graph * nodes
        out, into = (torch.bincount(ends, minlength=len(edges) * nodes) for ends in (rows, columns))
        # Exclusive sums of the degrees: a node without edges gets an empty bag. The stable
        # sort makes sums over incoming edges add up in the same order every time.
        starts, back_starts = (degree.cumsum(0) - degree for degree in (out, into))
        return cls(graph, number, rows, columns, starts, columns.argsort(stable=True), back_starts)

    def pool_outgoing(self, values: Tensor, indices: Tensor, mode: str = "mean") -> Tensor:
        """Return mean or sum over each node's outgoing edges [N n, w], 0 without any."""
        # Gathers and reduces in one call, without a copy [M, w] of the neighbours'
        # features.
        return embedding_bag(indices, values, self.starts, mode=mode)

    def pool_incoming(self, values: Tensor, indices: Tensor, mode: str = "mean") -> Tensor:
        """Return the same over the edges that lead to a node."""
        return embedding_bag(indices[self.back], values, self.back_starts, mode=mode)


class SageLayer(nn.Module):
    """GraphSAGE (Hamilton et al. 2017), both ways.

    x_i -> relu(U x_i + V mean of x_j over the edges of i + W mean of x_j over the edges to i).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_projection = nn.Linear(width, width)
        self.outgoing_projection, self.incoming_projection = (
            nn.Linear(width, width, bias=False) for _ in range(2)
        )

    def forward(self, x: Tensor, edges: PackedEdges) -> Tensor:
        """Map node features [N n, w] to [N n, w]."""
        heard = self.outgoing_projection(
            edges.pool_outgoing(x, edges.columns)
        ) + self.incoming_projection(edges.pool_incoming(x, edges.rows))
        return torch.relu(self.self_projection(x) + heard)


class GinLayer(nn.Module):
    """A graph isomorphism layer (Xu et al. 2019), both ways.

    x_i -> relu(P relu(U x_i + V sum over the edges of i of x_j + W sum over those to i of x_j)). A
    sum distinguishes nodes of different degree, which a mean does not; U stands for 1 + epsilon.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_projection, self.after = nn.Linear(width, width), nn.Linear(width, width)
        self.outgoing_projection, self.incoming_projection = (
            nn.Linear(width, width, bias=False) for _ in range(2)
        )

    def forward(self, x: Tensor, edges: PackedEdges) -> Tensor:
        """Map node features [N n, w] to [N n, w]."""
        out, into = (
            edges.pool_outgoing(x, edges.columns, "sum"),
            edges.pool_incoming(x, edges.rows, "sum"),
        )
        heard = self.outgoing_projection(out) + self.incoming_projection(into)
        return torch.relu(self.after(torch.relu(self.self_projection(x) + heard)))


class GraphPolicy(PolicyModule):
    """Picks by the scores of edges, other actions and the value from pooled nodes."""

    accepts_any_size = True
    supports_picks = True
    head_weights = ("policy.", "score.", "node_projection.", "edge_projection.")
    layer_class: ClassVar[type[SageLayer | GinLayer]] = SageLayer

    def build(self) -> None:
        """Create the layers; the first hidden width is used for all layers (and for the value).

        Raises:
            InputError: an observation that is no graph, or picks of something else than its edges.
        """
        parts = {
            name.removeprefix("obs."): space for name, space in self.observation_spaces.items()
        }
        missing = {"nodes", "edges", "edge_features", "node_mask", "edge_mask"} - set(parts)
        unread = set(parts) - {"nodes", "edges", "edge_features", "node_mask", "edge_mask"}
        if missing or unread - {"legal", "summary"}:
            raise InputError(
                "The graph model needs a Dict observation of nodes, edges, edge_features, "
                "node_mask and edge_mask, and reads legal and summary too, but what is observed "
                f"is {sorted(parts)}. Take observation='graph' where the environment has it, or "
                "model='mlp'."
            )
        sizes = {name: (space.shape or (1,))[-1] for name, space in parts.items()}
        self.context = sizes.get("summary", 0)
        self.picks_per_node = False
        if isinstance(self.head, TopKHead):
            self.picks_per_node = self.head.rows == sizes["node_mask"]
            if not self.picks_per_node and self.head.rows != 1:
                raise InputError(
                    f"The graph model picks edges of each of {sizes['node_mask']} nodes or of the "
                    f"whole graph, but the action has {self.head.rows} rows."
                )
        widths = self.model_config["hidden"]
        width = widths[0]
        self.embed = nn.Linear(sizes["nodes"] + 2 * sizes["edge_features"], width)
        self.layers = nn.ModuleList(self.layer_class(width) for _ in widths)
        if isinstance(self.head, TopKHead):
            self.node_projection = nn.Linear(width, 2 * SCORE_WIDTH)
            self.edge_projection = nn.Linear(sizes["edge_features"], SCORE_WIDTH, bias=False)
            self.score = nn.Linear(SCORE_WIDTH, 1, bias=False)
        else:
            self.policy = self._perceptron((width,), self.head.size, 0.01)
        self.critic = self._perceptron(self.model_config["value_hidden"] or (width,), 1, 1.0)

    def _perceptron(self, hidden: tuple[int, ...], size: int, gain: float) -> nn.Sequential:
        """Build layers over pooled nodes and summary; the last one has this initial gain."""
        pooled = self.model_config["hidden"][0] + self.context
        layers = [(nn.Linear(*pair), nn.ReLU()) for pair in pairwise((pooled, *hidden))]
        return nn.Sequential(
            *chain.from_iterable(layers), initialise_linear(nn.Linear(hidden[-1], size), gain)
        )

    def compute_outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return outputs (of picks [N, R, D], ``ILLEGAL_LOGIT`` where there is none) and values."""
        nodes = batch["obs.nodes"].float()
        N, n, _ = nodes.shape
        edges = PackedEdges.from_padded(batch["obs.edges"], batch["obs.edge_mask"] > 0, n)
        features = batch["obs.edge_features"][edges.graph, edges.number].float()
        # Here the bags hold the edges' own features and not those of nodes: indices are
        # edge numbers.
        each = torch.arange(len(features), device=nodes.device)
        around = [edges.pool_outgoing(features, each), edges.pool_incoming(features, each)]
        x = torch.relu(self.embed(torch.cat([nodes.flatten(0, 1), *around], -1)))
        for layer in self.layers:
            x = layer(x, edges)
        real = batch["obs.node_mask"].float()
        # Padding is not zero after the first layer (biases): only the mask keeps it out of
        # the mean.
        pooled = (real[..., None] * x.view(N, n, -1)).sum(1) / real.sum(1, keepdim=True).clamp_min(
            1
        )
        if self.context:
            pooled = torch.cat([pooled, batch["obs.summary"].float()], -1)
        value = self.critic(pooled)[:, 0]
        if not isinstance(self.head, TopKHead):
            return self.policy(pooled), value
        return self._arrange_by_row(self._score_edges(x, features, edges), edges, batch), value

    def _score_edges(self, x: Tensor, features: Tensor, edges: PackedEdges) -> Tensor:
        """Return edge scores [M]: v . relu(U x_i + V x_j + W f_ij), nodes projected once each."""
        first, second = self.node_projection(x).split(SCORE_WIDTH, -1)
        both = first.index_select(0, edges.rows) + second.index_select(0, edges.columns)
        return self.score(torch.relu(both + self.edge_projection(features)))[:, 0]

    def _arrange_by_row(
        self, scores: Tensor, edges: PackedEdges, batch: Mapping[str, Tensor]
    ) -> Tensor:
        """Return scores [M] as [N, R, D]: R nodes or 1, D the most edges of any (at least k)."""
        assert isinstance(self.head, TopKHead)  # noqa: S101
        N, n, _ = batch["obs.nodes"].shape
        if self.picks_per_node:
            row, slot, rows = edges.rows, _number_within_node(edges), n
        else:
            row, slot, rows = edges.graph, edges.number, 1
        # At least k columns, as k picks are stored for every row; those without an edge
        # become -1.
        width = max(int(slot.max()) + 1 if len(slot) else 0, self.head.k)
        if "obs.legal" in batch:
            legal = batch["obs.legal"][edges.graph, edges.number] > 0
            scores = scores.masked_fill(~legal, ILLEGAL_LOGIT)
        table = scores.new_full((N * rows, width), ILLEGAL_LOGIT)
        return table.index_put((row, slot), scores).view(N, rows, width)


class GinPolicy(GraphPolicy):
    """The same with layers that sum over neighbours."""

    layer_class = GinLayer


def _number_within_node(edges: PackedEdges) -> Tensor:
    """Return the number of each edge within its node [M]."""
    return torch.arange(len(edges.rows), device=edges.rows.device) - edges.starts[edges.rows]
