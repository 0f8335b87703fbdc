"""The value in [-1, 1] that goes with a choice: drawn from a grid, or by one of two densities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from algos.actions.array_backend import draw_gamma, draw_uniform
from algos.actions.choices import Categorical
from algos.actions.numpy_actions import Action
from algos.actions.values import LOG_STD_LIMITS


class BinnedValue:
    """A value in [-1, 1] on a grid of K points ``[N, K]``; may have several peaks."""

    def __init__(self, logits: Tensor) -> None:
        self.bins = Categorical(logits)
        self.grid = torch.linspace(-1, 1, logits.shape[-1], device=logits.device)

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw a grid point."""
        return {"value": self.grid[self.bins.sample(generator)["choice"]]}

    def mode(self) -> Action:
        """Return the most likely grid point."""
        return {"value": self.grid[self.bins.mode()["choice"]]}

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return the log-probability of the nearest grid point."""
        # From [-1, 1] to 0 .. K - 1; rounded, as a value that went through an environment
        # or a file may be a float32 step away from its grid point.
        position = (action["value"] + 1) * 0.5 * (len(self.grid) - 1)
        return self.bins.logp({"choice": position.round().long()})

    def entropy(self) -> Tensor:
        """Return the entropy over the grid."""
        return self.bins.entropy()

    def max_entropy(self) -> Tensor:
        """Log of the number of grid points."""
        return self.bins.max_entropy()


class BetaValue:
    """A value in [-1, 1] with a Beta density ``params [N, 2]``, one peak, no mass outside."""

    def __init__(self, params: Tensor) -> None:
        # Both parameters above 1: one peak and a finite density at the ends.
        self.beta = torch.distributions.Beta(
            *(1 + torch.nn.functional.softplus(params)).unbind(-1), validate_args=False
        )

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw as a ratio of two Gamma variables, which take a generator."""
        first = draw_gamma(self.beta.concentration1, generator)
        second = draw_gamma(self.beta.concentration0, generator)
        share = first / (first + second)
        return {"value": (2 * share - 1).clamp(-1 + 1e-6, 1 - 1e-6)}

    def mode(self) -> Action:
        """Return the peak."""
        a, b = self.beta.concentration1, self.beta.concentration0
        # Both parameters may be 1 in float32: any point of a flat density is its peak.
        share = (a - 1 + 1e-6) / (a + b - 2 + 2e-6)
        return {"value": (2 * share - 1).clamp(-1 + 1e-6, 1 - 1e-6)}

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return the log-density over [-1, 1]."""
        # The ends, where the log-density is -inf, are moved inwards exactly as sample()
        # moves them. Mapping [0, 1] to [-1, 1] halves the density, hence - log 2.
        share = ((action["value"] + 1) / 2).clamp(1e-6, 1 - 1e-6)
        return self.beta.log_prob(share) - math.log(2)

    def entropy(self) -> Tensor:
        """Return the differential entropy; the uniform density has log 2."""
        return self.beta.entropy() + math.log(2)

    def max_entropy(self) -> Tensor:
        """Return the entropy of the uniform density on [-1, 1]."""
        return torch.full_like(self.beta.concentration1, math.log(2))


class NormalValue:
    """A value in [-1, 1] with a normal density that is cut off at both ends; ``params [N, 2]``.

    The first parameter, through tanh, is where the peak lies; the second is the log standard
    deviation that the values would have if nothing were cut off. The larger it is, the more alike
    all values are.
    """

    def __init__(self, params: Tensor) -> None:
        self.mean, self.log_std = params[..., 0].tanh(), params[..., 1].clamp(*LOG_STD_LIMITS)
        self.std = self.log_std.exp()
        self._ends = [(end - self.mean) / self.std for end in (-1, 1)]
        # erf(z / sqrt 2) = 2 Phi(z) - 1, of both bounds in standard deviations from the
        # peak.
        self._low, self._high = (torch.erf(end * math.sqrt(0.5)) for end in self._ends)
        self._mass_in_bounds = 0.5 * (self._high - self._low)  # the share that is not cut off

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw by the inverse of the distribution function."""
        share = draw_uniform(self.mean, generator)
        erf_value = self._low + share * (self._high - self._low)
        # Where it rounds to 1 its inverse would be infinite.
        z = math.sqrt(2) * torch.erfinv(erf_value.clamp(-1 + 2**-23, 1 - 2**-23))
        return {"value": (self.mean + self.std * z).clamp(-1, 1)}

    def mode(self) -> Action:
        """Return the peak."""
        return {"value": self.mean}

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return the log-density over [-1, 1]."""
        z = (action["value"] - self.mean) / self.std
        return (
            -0.5 * z * z - 0.5 * math.log(2 * math.pi) - self.log_std - self._mass_in_bounds.log()
        )

    def entropy(self) -> Tensor:
        """Return the differential entropy; the uniform density has log 2."""
        # Truncated at a and b with the mass Z: ln(sqrt(2 pi e) std Z) + (a phi(a) - b
        # phi(b)) / (2 Z).
        low, high = (e * (-0.5 * e * e).exp() / math.sqrt(2 * math.pi) for e in self._ends)
        whole = 0.5 * math.log(2 * math.pi * math.e) + self.log_std + self._mass_in_bounds.log()
        return whole + 0.5 * (low - high) / self._mass_in_bounds

    def max_entropy(self) -> Tensor:
        """Return the entropy of the uniform density on [-1, 1]."""
        return torch.full_like(self.mean, math.log(2))


ValueDistribution: TypeAlias = BinnedValue | BetaValue | NormalValue

VALUES: Mapping[str, type[ValueDistribution]] = {
    "bins": BinnedValue,
    "beta": BetaValue,
    "normal": NormalValue,
}
"""How the value of a choice is drawn, by the setting ``value_distribution``."""
