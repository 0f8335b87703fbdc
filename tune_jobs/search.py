"""Search spaces: which values a field may take, and drawing settings from them.

Settings are drawn before anything starts, from the job's seed: a job is the same list of trials on
every machine and after every resume, and a setting that the algorithm would refuse is refused now.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from envs.validation import InputError, unknown_name

Kind: TypeAlias = Literal["uniform", "loguniform", "int", "choice"]
KINDS = ("uniform", "loguniform", "int", "choice")


@dataclass(frozen=True)
class Space:
    """The values one field may take.

    In YAML: ``lr: {loguniform: [1.0e-4, 1.0e-2]}``, ``clip: {uniform: [0.1, 0.4]}``,
    ``epochs: {int: [2, 8]}`` (both ends included), ``activation: {choice: [tanh, relu]}``.
    """

    kind: Kind
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, field: str, given: Any) -> Space:
        """Read a space from YAML.

        Raises:
            InputError: saying what a space looks like.
        """
        if isinstance(given, Space):
            return given
        if not (isinstance(given, Mapping) and len(given) == 1):
            raise InputError(
                f"search.{field} must name one kind of space, such as "
                f"{{uniform: [0.1, 0.4]}}, but it is {given!r}."
            )
        kind, values = next(iter(given.items()))
        if kind not in KINDS:
            raise unknown_name("kind of space", str(kind), KINDS, f"for search.{field}")
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise InputError(
                f"search.{field}: {kind} needs a list of values, but it is {values!r}."
            )
        space = cls(kind, tuple(tuple(v) if isinstance(v, list) else v for v in values))
        space.check(field)
        return space

    def check(self, field: str) -> None:
        """Refuse bounds that cannot be drawn from."""
        if self.kind == "choice":
            return
        if len(self.values) != 2 or not all(isinstance(v, int | float) for v in self.values):
            raise InputError(
                f"search.{field}: {self.kind} needs two numbers, but it is {list(self.values)}."
            )
        low, high = self.values
        if low >= high or (self.kind == "loguniform" and low <= 0):
            above = " above zero" if self.kind == "loguniform" else ""
            raise InputError(
                f"search.{field}: {self.kind} needs a lower and a higher bound{above}, "
                f"but it is {list(self.values)}."
            )


def draws(spaces: Mapping[str, Space], count: int, seed: int) -> list[dict[str, Any]]:
    """``count`` settings, the same ones for the same seed.

    The values of each field are spread evenly over its space (a Latin hypercube, McKay et al. 1979)
    so that a dozen trials cover it better than independent draws would.
    """
    rng = np.random.default_rng(seed)
    columns = {name: _spread(space, count, rng) for name, space in spaces.items()}
    return [{name: column[i] for name, column in columns.items()} for i in range(count)]


def _spread(space: Space, count: int, rng: np.random.Generator) -> list[Any]:
    places = (rng.permutation(count) + rng.uniform(size=count)) / count
    if space.kind == "choice":
        return [space.values[int(p * len(space.values))] for p in places]
    low, high = space.values
    if space.kind == "int":
        return [min(int(low + p * (high - low + 1)), high) for p in places]
    if space.kind == "loguniform":
        low, high = math.log(low), math.log(high)
        return [float(f"{math.exp(low + p * (high - low)):.4g}") for p in places]
    return [float(f"{low + p * (high - low):.4g}") for p in places]
