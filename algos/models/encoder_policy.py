"""A network with an encoder for each part of the observation (``model: auto``).

The encoders are shared by policy and value, the layers behind them are not. Sharing is the practice
for images (Mnih et al. 2016; Schulman et al. 2017; Espeholt et al. 2018): the convolutions take
nearly all of the time, and where rewards are rare the value's error teaches them first. Separate
trunks, which score higher in four of the five tasks of Andrychowicz et al. (2021), were measured on
vectors, where they cost little: those stay with ``mlp``. What can still disturb the policy is the
scale of the value's error; the layers of its own and ``value_coef`` are there for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

from algos.models.base import PolicyModule, initialise_linear
from algos.models.encoders import has_image, make_encoders
from algos.models.mlp import MLPPolicy


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

    def compute_outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :class:`PolicyModule`."""
        features = self.encode(batch)
        return self.policy(self.trunk(features)), self.critic(features)[:, 0]


class AutoPolicy(PolicyModule):
    """The network that suits the observation: encoders where a part is an image, else ``mlp``."""

    def __new__(cls, *args: Any, observation_space: spaces.Space[Any], **kwargs: Any) -> Any:
        """Return a network of another class, which RLlib then uses as if it had asked for it."""
        # RLlib asks for the class before it knows the observation.
        chosen = EncoderPolicy if has_image(observation_space) else MLPPolicy
        return chosen(*args, observation_space=observation_space, **kwargs)


def make_perceptron(inputs: int, widths: Sequence[int], activation: str) -> nn.Sequential:
    """Return hidden layers [N, inputs] -> [N, widths[-1]]."""
    kind = nn.Tanh if activation == "tanh" else nn.ReLU
    layers = [
        (initialise_linear(nn.Linear(*sizes), 2**0.5), kind())
        for sizes in pairwise((inputs, *widths))
    ]
    return nn.Sequential(*chain.from_iterable(layers))
