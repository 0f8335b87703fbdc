"""Two perceptrons over the flattened observation: one for the policy, one for the value."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from algos.models.base import Flatten, PolicyModule, initialised

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


class MLP(PolicyModule):
    """Separate trunks, so that the scale of the value error cannot disturb the policy."""

    def build(self) -> None:
        """Create both trunks."""
        self.flatten = Flatten(self.columns)
        size = self.head.choices * self.head.per_choice
        self.policy = self._trunk(size, gain=0.01)
        self.critic = self._trunk(1, gain=1.0)

    def outputs(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :class:`PolicyModule`."""
        flat = self.flatten(batch)
        return self.policy(flat), self.critic(flat)[:, 0]

    def _trunk(self, outputs: int, gain: float) -> nn.Sequential:
        layers: list[nn.Module] = []
        inputs = self.flatten.size
        for width in self.model_config["hidden"]:
            layers.append(initialised(nn.Linear(inputs, width), 2**0.5))
            layers.append(ACTIVATIONS[self.model_config["activation"]]())
            inputs = width
        return nn.Sequential(*layers, initialised(nn.Linear(inputs, outputs), gain))
