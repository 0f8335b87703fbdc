"""A network with an encoder for each part of the observation (``model: auto``).

The encoders are shared by policy and value, the layers behind them are not. Sharing is the practice
for images (Mnih et al. 2016; Schulman et al. 2017; Espeholt et al. 2018): the convolutions take
nearly all of the time, and where rewards are rare the value's error teaches them first. Separate
trunks, which score higher in four of the five tasks of Andrychowicz et al. (2021), were measured on
vectors, where they cost little: those stay with ``mlp``. What can still disturb the policy is the
scale of the value's error (``value_coef``). Layers of their own behind shared
convolutions score higher than linear heads: 5.6 against 4.7 in 100k steps of MinAtar Breakout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from algos.models.base import PolicyModule, initialise_linear
from algos.models.encoders import list_images, make_encoders
from algos.models.frame_stack import StateLayout
from algos.models.memory import Memory
from algos.models.mlp import MLPPolicy

MEASURED_ROWS = 64
"""Rows at most by which the network is judged: a fraction of a minibatch, at next to no cost."""
CONSTANT_RANGE = 1e-5
"""Difference between the features of all rows up to which they count as equal: a layer computed
from equal numbers differs by rounding alone."""


class EncoderPolicy(PolicyModule):
    """Encoders side by side; behind them a perceptron for the policy and one for the value."""

    head_weights = ("policy.",)

    def build(self) -> None:
        """Create the encoders and the layers behind them."""
        config = self.model_config
        encoders = make_encoders(self.observation_space, config)
        self.names = list(encoders)
        # A list: names of parts may hold dots, which those of torch's modules may not.
        self.encoders = nn.ModuleList(encoders.values())
        size = sum(encoder.size for encoder in encoders.values())
        width, kind = config["hidden"][0], config["memory"]
        self.memory = None if kind == "none" else Memory(kind, size, width)
        size = size if self.memory is None else self.memory.size
        self.trunk = make_perceptron(size, config["hidden"], config["activation"])
        last = nn.Linear(config["hidden"][-1], self.head.size)
        # Small outputs make the first policy close to uniform (Andrychowicz et al. 2021).
        self.policy = initialise_linear(last, 0.01)
        widths = config["value_hidden"] or config["hidden"]
        value = initialise_linear(nn.Linear(widths[-1], 1), 1.0)
        self.critic = make_perceptron(size, widths, config["activation"]).append(value)

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the features [N, F] of all parts."""
        parts = zip(self.names, self.encoders, strict=True)
        return torch.cat([encoder(batch[name]) for name, encoder in parts], -1)

    @property
    def state_layout(self) -> StateLayout:
        """Add the recurrent state to the stacked observations."""
        names = () if self.memory is None else self.memory.names
        width = self.model_config["hidden"][0]
        return super().state_layout | {name: ((width,), np.float32) for name in names}

    def compute_outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :class:`PolicyModule`."""
        outputs, values, _ = self.compute_step(batch)
        return outputs, values

    def compute_step(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See :class:`PolicyModule`."""
        features, state = self.encode(batch), dict[str, Tensor]()
        if self.memory is not None:
            features, state = self.memory(features, batch)
        return self.policy(self.trunk(features)), self.critic(features)[:, 0], state

    @torch.no_grad()
    def compute_network_metrics(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Return how much of the features is constant, and how much the memory matters."""
        # Rows far apart, because neighbours are steps of one sequence. None is marked as the start
        # of a sequence: each holds its own state, as at acting.
        apart = -(-len(batch[self.names[0]]) // MEASURED_ROWS)
        recurrent = () if self.memory is None else self.memory.names
        rows = {name: batch[name][::apart] for name in (*self.names, *recurrent)}
        rows |= self.normalise_observations(rows)
        parts = {
            name: encoder(rows[name])
            for name, encoder in zip(self.names, self.encoders, strict=True)
        }
        # A part that does not change is no fault of its encoder.
        changing = [f for name, f in parts.items() if bool((rows[name] != rows[name][:1]).any())]
        metrics = self._measure_memory(torch.cat(list(parts.values()), -1), rows)
        if not changing:
            return metrics
        return metrics | {
            "encoder_constant_fraction": max(map(compute_constant_fraction, changing)),
            "feature_constant_fraction": compute_constant_fraction(torch.cat(changing, -1)),
        }

    def _measure_memory(self, features: Tensor, rows: Mapping[str, Tensor]) -> dict[str, float]:
        """Return how far outputs move with the state [N, width], compared with features [N, F]."""
        if self.memory is None:
            return {}
        half = len(features) // 2
        # Swapped and not set to zero: a state that is the same at every step is of no use, but a
        # network that has learnt with it acts differently without it. Compared with the effect of
        # the features, because the outputs of a policy that has learnt nothing hardly depend on
        # either. In one pass: at this size the number of calls costs more than that of rows.
        state = {name: rows[name] for name in self.memory.names}
        own_swapped_own = {name: torch.cat([c, c.roll(half, 0), c]) for name, c in state.items()}
        own_own_swapped = torch.cat([features, features, features.roll(half, 0)])
        remembered, _ = self.memory(own_own_swapped, own_swapped_own)
        outputs, other_state, other_features = self.policy(self.trunk(remembered)).chunk(3)
        of_memory = float((other_state - outputs).abs().mean())
        both = of_memory + float((other_features - outputs).abs().mean())
        return {"memory_effect_fraction": of_memory / both} if both > 0 else {}


def compute_constant_fraction(features: Tensor) -> float:
    """Return the fraction of features [N, F] that are equal in all rows."""
    constant = features.amax(0) - features.amin(0) <= CONSTANT_RANGE
    return float(constant.float().mean())


def make_auto_policy(
    *, observation_space: spaces.Space[Any], model_config: Mapping[str, Any], **kwargs: object
) -> PolicyModule:
    """Return the network for an observation: ``mlp``, or encoders for images and a memory."""
    remembers = model_config["memory"] != "none"
    chosen = EncoderPolicy if remembers or list_images(observation_space) else MLPPolicy
    return chosen(observation_space=observation_space, model_config=model_config, **kwargs)


def make_perceptron(inputs: int, widths: Sequence[int], activation: str) -> nn.Sequential:
    """Return hidden layers [N, inputs] -> [N, widths[-1]]."""
    kind = nn.Tanh if activation == "tanh" else nn.ReLU
    layers = [
        (initialise_linear(nn.Linear(*sizes), 2**0.5), kind())
        for sizes in pairwise((inputs, *widths))
    ]
    return nn.Sequential(*chain.from_iterable(layers))
