"""The post-mortem's student: one small neural network for each node, trained by Adam.

Kept for fidelity, not for speed: it takes 120 full-batch updates for each intervention, on a buffer
that grows with the episode. Architecture and schedule are the post-mortem's (two hidden layers of
64 ReLU units, learning rate 2e-3, a fast phase on the new rows, then epochs over the buffer). Its
roots, whose means Adam was too slow to move, are fitted in closed form as everywhere here.

Shapes: B copies, k slots (nodes with parents), n nodes, R rows, H hidden units.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
import torch

from envs.causal.learning import roots as root_fits
from envs.causal.learning.params import MlpParams
from envs.causal.learning.roots import Roots
from envs.causal.learning.student import true_means
from envs.causal.models.scm import Scm
from envs.contract import counter_rng
from envs.contract.pytree import Array, Bools, Floats, Ints, Keys

# Adam's published defaults.
_BETAS = (0.9, 0.999)
_TINY = 1e-8
Layers: TypeAlias = tuple[Array, ...]
"""Weights and biases of three layers: [B, k, in, out] and [B, k, 1, out], alternating, float32."""


@dataclasses.dataclass(frozen=True)
class Networks:
    """B students."""

    layers: Layers
    """The parameters."""
    first: Layers
    """Adam's running mean of the gradients."""
    second: Layers
    """Adam's running mean of their squares."""
    updates: Ints
    """[B]: Adam's updates so far."""
    rows: Array
    """[B, buffer, capacity, n] float32: the remembered rows."""
    use: Array
    """[B, buffer, capacity, n] float32: 1 where a remembered row may teach a node."""
    batches: Ints
    """[B]: batches seen so far."""
    loss: Floats
    """[B, k]: the mean squared error on the buffer after the last update."""
    roots: Roots
    """The fitted roots."""


class MlpStudent:
    """Neural networks, all copies and slots in one batched product."""

    def __init__(
        self, parents: Bools, probes: Floats, capacity: int, params: MlpParams | None = None
    ) -> None:
        """Prepare the networks.

        Args:
            parents: [n, n], row j marks the parents of node j.
            probes: [P, n] points at which errors are averaged.
            capacity: the largest number of rows learnt from at a time.
            params: how the networks are built and trained.
        """
        self.params = params or MlpParams()
        self.slots: Ints = np.flatnonzero(parents.any(axis=1))
        self.root_nodes: Ints = np.flatnonzero(~parents.any(axis=1))
        # [k, n, 1]: multiplies the first layer's weights, so that a network never reads a node that
        # is not a parent, and all slots have equal shapes.
        self._inputs = torch.tensor(parents[self.slots], dtype=torch.float32)[:, :, None]
        self._probes = probes
        self._capacity = capacity

    def reset(self, keys: Keys, scm: Scm) -> Networks:
        """Draw networks for keys [B] as torch does: U(-1, 1) / sqrt(inputs)."""
        B, k, n, H = len(keys), *self._inputs.shape[:2], self.params.hidden
        # The fan-in is the number of parents, not n: inputs that are masked out must not shrink the
        # weights.
        parents = self._inputs.sum(dim=1, keepdim=True).numpy().astype(float)
        layers: list[Array] = []
        shapes = ((n, H, parents), (H, H, float(H)), (H, 1, float(H)))
        for number, (inputs, outputs, fan) in enumerate(shapes):
            for part, height in enumerate((inputs, 1)):
                u = counter_rng.uniform(
                    counter_rng.fold(keys, 2 * number + part), (k, height, outputs)
                )
                layers.append(((2 * u - 1) / np.sqrt(fan)).astype(np.float32))
        # Shared by both moments: updates replace arrays and never write into them.
        zeros = tuple(np.zeros_like(layer) for layer in layers)
        memory = np.zeros((B, self.params.buffer, self._capacity, n), np.float32)
        nothing = np.zeros(B, np.int64)
        return Networks(
            layers=tuple(layers),
            first=zeros,
            second=zeros,
            updates=nothing,
            rows=memory,
            use=memory,
            batches=nothing,
            loss=np.full((B, k), 10.0),
            roots=root_fits.empty(B, len(self.root_nodes)),
        )

    def learn(self, state: Networks, rows: Floats, chosen: Bools) -> Networks:
        """Train on rows [B, rows, n] in which the nodes chosen [B, n] were set."""
        B, R, n = rows.shape
        # A ring buffer: the oldest batch is overwritten, first in, first out.
        slot = (np.arange(B), state.batches % self.params.buffer)
        memory, use = state.rows.copy(), state.use.copy()
        # Cleared first, because a batch may have fewer rows than the capacity.
        memory[slot], use[slot] = 0, 0
        memory[(*slot, slice(R))] = rows
        use[(*slot, slice(R))] = ~chosen[:, None]
        state = dataclasses.replace(
            state,
            rows=memory,
            use=use,
            batches=state.batches + 1,
            roots=root_fits.learn(
                state.roots, rows[:, :, self.root_nodes], ~chosen[:, self.root_nodes]
            ),
        )
        # The post-mortem's fast phase sees the new rows alone, before the epochs over the whole
        # buffer.
        state = self._train(state, memory[slot], use[slot], self.params.fast_epochs)
        # All copies train on the same number of slots; rows of copies with fewer are empty and
        # unused.
        filled = min(int(state.batches.max()), self.params.buffer)
        every = (B, filled * self._capacity, n)
        return self._train(
            state,
            memory[:, :filled].reshape(every),
            use[:, :filled].reshape(every),
            self.params.epochs,
        )

    def predict(self, state: Networks, x: Floats) -> Floats:
        """Return learnt means [B, k, rows] at node values x [B or 1, rows, n]."""
        layers = [torch.from_numpy(layer) for layer in state.layers]
        with torch.no_grad():
            return self._forward(layers, torch.tensor(x, dtype=torch.float32)).double().numpy()

    def make_target(self, scm: Scm) -> Floats:
        """Return the true means [C, k, P] at the probe points."""
        return true_means(scm, self.slots, self._probes)

    def squared_error(self, state: Networks, target: Floats) -> Floats:
        """Return the mean squared error [B, k] at the probe points, with true means [C, k, P]."""
        return np.square(self.predict(state, self._probes[None]) - target).mean(axis=-1)

    def uncertainty(self, state: Networks) -> Floats:
        """Return the loss [B, k] on the buffer: networks have no posterior."""
        return state.loss

    def roots(self, state: Networks) -> Roots:
        """Return the fitted roots."""
        return state.roots

    def _forward(self, layers: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Compute outputs [B, k, R] of layers for node values x [B, R, n]."""
        w1, b1, w2, b2, w3, b3 = layers
        # [B, 1, R, n] against [B, k, n, H]: one batched product for all copies and slots.
        h = torch.relu(x[:, None] @ (w1 * self._inputs) + b1)
        h = torch.relu(h @ w2 + b2)
        return (h @ w3 + b3)[..., 0]

    def _train(self, state: Networks, rows: Array, use: Array, epochs: int) -> Networks:
        """Apply full-batch updates on rows [B, R, n] where ``use`` [B, R, n] is 1."""
        # torch.tensor copies: the state must keep the arrays from before the update.
        layers = [torch.tensor(layer, requires_grad=True) for layer in state.layers]
        first = [torch.tensor(moment) for moment in state.first]
        second = [torch.tensor(moment) for moment in state.second]
        x = torch.from_numpy(rows)
        y, mask = (torch.from_numpy(part[:, :, self.slots]).transpose(1, 2) for part in (rows, use))
        # At least 1, for a node that was set in every row.
        count = mask.sum(dim=-1).clamp(min=1)
        updates, loss = state.updates, torch.zeros(count.shape)
        for _ in range(epochs):
            loss = ((self._forward(layers, x) - y).square() * mask).sum(dim=-1) / count
            # The sum over copies keeps them apart: no parameter belongs to two of them.
            gradients = torch.autograd.grad(loss.sum(), layers)
            updates = updates + 1
            _adam(layers, gradients, first, second, updates, self.params.lr)
        return dataclasses.replace(
            state,
            layers=tuple(layer.detach().numpy() for layer in layers),
            first=tuple(moment.numpy() for moment in first),
            second=tuple(moment.numpy() for moment in second),
            updates=updates,
            loss=loss.detach().double().numpy(),
        )


def _adam(
    layers: list[torch.Tensor],
    gradients: tuple[torch.Tensor, ...],
    first: list[torch.Tensor],
    second: list[torch.Tensor],
    updates: Ints,
    lr: float,
) -> None:
    """Apply one Adam update to layers [B, ...] in place (Kingma and Ba, 2015)."""
    # The update number differs by copy, because copies may begin their episodes at different times.
    count = torch.from_numpy(updates).double()[:, None, None, None]
    slow, slower = ((1 - beta**count).float() for beta in _BETAS)
    with torch.no_grad():
        for layer, gradient, mean, square in zip(layers, gradients, first, second, strict=True):
            # In place: these are the copies made in _train.
            mean.lerp_(gradient, 1 - _BETAS[0])
            square.lerp_(gradient.square(), 1 - _BETAS[1])
            layer -= lr * (mean / slow) / ((square / slower).sqrt() + _TINY)
