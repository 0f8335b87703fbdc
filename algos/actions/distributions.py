"""Distributions over actions, with one small protocol for every kind of action.

RLlib's own take no random generator (a runner could not be reproduced) and have no masked or mixed
actions. An action is a dict of columns that hold exactly what its log-probability needs;
``action_heads.py`` turns them into the arguments of the environment's ``step``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from algos.actions.array_backend import (
    Array,
    draw_exponential,
    draw_gamma,
    draw_normal,
    draw_uniform,
    get_array_module,
    log_softmax,
    take_at_index,
)
from algos.actions.fused_entropy import fused_entropy

Action: TypeAlias = dict[str, Tensor]

ILLEGAL_LOGIT = -1e30
"""Logit of an illegal action: finite, because -inf times a probability of 0 is NaN."""

LOG_STD_LIMITS = (-10, 3)
"""Beyond these a log standard deviation counts as the nearer one."""


class ActionDistribution(Protocol):
    """N distributions over actions, one a row."""

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw one action a row, as columns ready to be stored."""
        ...

    def mode(self) -> Action:
        """Return the most likely action of each row; of several parts, that of each part."""
        ...

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return the log-probability (density) of stored actions ``[N]``."""
        ...

    def entropy(self) -> Tensor:
        """Return the entropy in nats ``[N]``, differential where the action is continuous."""
        ...

    def max_entropy(self) -> Tensor | None:
        """Return the entropy ``[N]`` of the uniform distribution, or None where there is none."""
        ...

    def choice_probabilities(self) -> Tensor | None:
        """Return the probabilities ``[N, A]`` of the discrete choice, or None without one."""
        ...


class Categorical:
    """One of A choices; ``mask [N, A]`` is false where a choice is illegal.

    Given numpy arrays, it samples and computes log-probabilities with numpy.
    """

    def __init__(self, logits: Array, mask: Array | None = None) -> None:
        if mask is not None:
            lib = get_array_module(logits)
            logits = lib.where(mask != 0, logits, lib.full_like(logits, ILLEGAL_LOGIT))
        # The raw logits are kept, too: the fused entropy passes its gradient straight to
        # them.
        self._given, self.mask = logits, mask
        self.logits = log_softmax(logits)

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw by an exponential race: the first arrival, at rates p, is a draw from p."""
        # An illegal choice has the rate exp(-1e30) = 0 and loses every race.
        rates = get_array_module(self.logits).exp(self.logits)
        return {"choice": (rates / draw_exponential(rates, generator)).argmax(-1)}

    def mode(self) -> Action:
        """Return the most likely choice."""
        return {"choice": self.logits.argmax(-1)}

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return the log-probability of the choice."""
        return take_at_index(self.logits, action["choice"])

    def entropy(self) -> Tensor:
        """Return the entropy; illegal choices add nothing."""
        return fused_entropy(self._given, self.logits.detach())

    def max_entropy(self) -> Tensor:
        """Log of the number of legal choices."""
        if self.mask is None:
            return torch.full_like(self.logits[..., 0], math.log(self.logits.shape[-1]))
        return self.mask.sum(-1).to(self.logits.dtype).log()

    def choice_probabilities(self) -> Tensor:
        """Return the probabilities."""
        return self.logits.exp()


class MultiCategorical:
    """Several independent choices at once, one Categorical each."""

    def __init__(self, parts: list[Categorical]) -> None:
        self.parts = parts

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw every part."""
        return self._stack([part.sample(generator) for part in self.parts])

    def mode(self) -> Action:
        """Return the mode of every part."""
        return self._stack([part.mode() for part in self.parts])

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Sum over the parts."""
        choices = action["choices"].unbind(-1)
        logps = [p.logp({"choice": c}) for p, c in zip(self.parts, choices, strict=True)]
        return torch.stack(logps).sum(0)

    def entropy(self) -> Tensor:
        """Sum over the parts."""
        return torch.stack([part.entropy() for part in self.parts]).sum(0)

    def max_entropy(self) -> Tensor:
        """Sum over the parts."""
        return torch.stack([part.max_entropy() for part in self.parts]).sum(0)

    def choice_probabilities(self) -> None:
        """Return None: there is no single choice."""

    @staticmethod
    def _stack(actions: list[Action]) -> Action:
        return {"choices": torch.stack([action["choice"] for action in actions], -1)}


class Gaussian:
    """Independent normal values ``[N, D]``, not squashed: the environment clips."""

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        # A learned spread can run away: a collapsed one makes density ratios explode, and
        # an unbounded one keeps raising the entropy bonus.
        self.mean, self.log_std = mean, log_std.clamp(*LOG_STD_LIMITS)

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw values."""
        return {"value": self.mean + self.log_std.exp() * draw_normal(self.mean, generator)}

    def mode(self) -> Action:
        """Return the mean."""
        return {"value": self.mean}

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return the log-density, summed over D."""
        z = (action["value"] - self.mean) * (-self.log_std).exp()
        return (-0.5 * z * z - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """Return the differential entropy, summed over D; may be negative."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1).expand(len(self.mean))

    def max_entropy(self) -> None:
        """Return None: a normal distribution has no largest entropy."""

    def choice_probabilities(self) -> None:
        """Return None: nothing is chosen."""


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
        place = (action["value"] + 1) * 0.5 * (len(self.grid) - 1)
        return self.bins.logp({"choice": place.round().long()})

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
        place = self._low + share * (self._high - self._low)
        # Where it rounds to 1 its inverse would be infinite.
        z = math.sqrt(2) * torch.erfinv(place.clamp(-1 + 2**-23, 1 - 2**-23))
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


class ChoiceWithValue:
    """One of A choices and a value in [-1, 1] that goes with it.

    Args:
        outputs: ``[N, A, 1 + K]``: a logit and K value parameters for each choice.
        mask: ``[N, A]`` or None, false where a choice is illegal.
        value: the distribution of the value given its parameters ``[..., K]``.
    """

    def __init__(
        self, outputs: Tensor, mask: Tensor | None, value: type[ValueDistribution]
    ) -> None:
        self.choice = Categorical(outputs[..., 0], mask)
        self.params = outputs[..., 1:]
        self.value = value

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw the choice, then its value."""
        choice = self.choice.sample(generator)
        return choice | self._value_given_choice(choice).sample(generator)

    def mode(self) -> Action:
        """Return the most likely choice and the most likely value for it."""
        choice = self.choice.mode()
        return choice | self._value_given_choice(choice).mode()

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Return log p(choice) + log p(value | choice)."""
        return self.choice.logp(action) + self._value_given_choice(action).logp(action)

    def entropy(self) -> Tensor:
        """Return H(choice) + the mean over choices of H(value | choice)."""
        return self.choice.entropy() + self._mean(self.value(self.params).entropy())

    def max_entropy(self) -> Tensor:
        """Return the entropy with every choice and every value equally likely."""
        return self.choice.max_entropy() + self._mean(self.value(self.params).max_entropy())

    def choice_probabilities(self) -> Tensor:
        """Return the probabilities of the choices."""
        return self.choice.choice_probabilities()

    def _value_given_choice(self, action: Mapping[str, Tensor]) -> ValueDistribution:
        # Of the chosen option only, [N, A, K] -> [N, K]: log p gives the others no
        # gradient.
        rows = torch.arange(len(self.params), device=self.params.device)
        return self.value(self.params[rows, action["choice"]])

    def _mean(self, per_choice: Tensor) -> Tensor:
        return (self.choice.choice_probabilities() * per_choice).sum(-1)


class Product:
    """Several independent parts, each with a name; columns are ``<part>.<column>``."""

    def __init__(self, parts: Mapping[str, ActionDistribution]) -> None:
        self.parts = parts

    def sample(self, generator: torch.Generator | None = None) -> Action:
        """Draw every part."""
        return self._join({name: part.sample(generator) for name, part in self.parts.items()})

    def mode(self) -> Action:
        """Return the mode of every part."""
        return self._join({name: part.mode() for name, part in self.parts.items()})

    def logp(self, action: Mapping[str, Tensor]) -> Tensor:
        """Sum over the parts."""
        logps = [part.logp(select_part_columns(name, action)) for name, part in self.parts.items()]
        return torch.stack(logps).sum(0)

    def entropy(self) -> Tensor:
        """Sum over the parts."""
        return torch.stack([part.entropy() for part in self.parts.values()]).sum(0)

    def max_entropy(self) -> Tensor | None:
        """Sum over the parts, None where one has no largest entropy."""
        highest = [part.max_entropy() for part in self.parts.values()]
        return None if any(h is None for h in highest) else torch.stack(highest).sum(0)  # type: ignore[arg-type]

    def choice_probabilities(self) -> None:
        """Return None: there is no single choice."""

    @staticmethod
    def _join(actions: Mapping[str, Action]) -> Action:
        return {f"{name}.{c}": v for name, action in actions.items() for c, v in action.items()}


def select_part_columns(name: str, action: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of one part of a :class:`Product` action, under their own names."""
    start = f"{name}."
    return {c.removeprefix(start): v for c, v in action.items() if c.startswith(start)}
