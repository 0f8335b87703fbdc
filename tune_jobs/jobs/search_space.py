"""Search spaces: the values that a field may take, and settings sampled from them.

Settings are sampled from the job's seed before any process starts. So a job is the same list of
trials on every machine and after every resume, and invalid settings are refused before the start.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np

from rungwise.validation import InputError, unknown_name_error

SpaceKind: TypeAlias = Literal["uniform", "loguniform", "int", "choice"]
KINDS = ("uniform", "loguniform", "int", "choice")
ENV_PREFIX = "env."
"""Prefix of a searched field that is an argument of the environment."""
LEARNING_RATE = re.compile(r"(^|[._-])(lr|learning[_-]?rate)$")
"""Names of learning rates: `lr`, `actor_lr`, `optimizer.learning_rate`."""
MOST_EXACT = 2**53
"""Whole numbers up to this one are exact as floats, with which they are drawn."""
USUAL_RATES, UNUSUAL = (1e-5, 1e-2), 0.1
"""Learning rates that are usual, and how many of the others are drawn for each of them."""


@dataclass(frozen=True)
class Space:
    """The values that one field may take.

    In YAML: ``lr: {loguniform: [1.0e-4, 1.0e-2]}``, ``clip: {uniform: [0.1, 0.4]}``,
    ``epochs: {int: [2, 8]}`` (both ends included), ``activation: {choice: [tanh, relu]}``.
    """

    kind: SpaceKind
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, field: str, given: object) -> Space:
        """Read a space from YAML.

        Raises:
            InputError: it is not a valid space; the message shows one.
        """
        if isinstance(given, Space):
            return given
        if not (isinstance(given, Mapping) and len(given) == 1):
            raise InputError(
                f"search.{field} must name one kind of space, such as "
                f"{{uniform: [0.1, 0.4]}}, but it is {given!r}."
            )
        kind, values = next(iter(given.items()))
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise InputError(
                f"search.{field}: {kind} needs a list of values, but it is {values!r}."
            )
        return cls(kind, tuple(tuple(v) if isinstance(v, list) else v for v in values))

    def contains(self, value: object) -> bool:
        """Return whether a value is one of the space."""
        if self.kind == "choice":
            return value in self.values
        if isinstance(value, bool) or not isinstance(
            value, int if self.kind == "int" else int | float
        ):
            return False
        low, high = self.values
        return low <= value <= high

    def check(self, field: str) -> None:
        """Validate the space of a field.

        Raises:
            InputError: an unknown kind, no values, or bounds that cannot be drawn from.
        """
        if self.kind not in KINDS:
            raise unknown_name_error("kind of space", str(self.kind), KINDS, f"for search.{field}")
        if not self.values:
            raise InputError(f"search.{field}: {self.kind} needs values, but there are none.")
        if self.kind == "choice":
            if any(value != value for value in self.values):  # only NaN differs from itself
                raise InputError(f"search.{field}: a choice must not be NaN; remove it.")
            return
        number = int if self.kind == "int" else int | float
        whole = "whole " if self.kind == "int" else ""
        if len(self.values) != 2 or not all(
            isinstance(v, number) and not isinstance(v, bool) for v in self.values
        ):
            raise InputError(
                f"search.{field}: {self.kind} needs two {whole}numbers, but it is "
                f"{list(self.values)}."
            )
        low, high = self.values
        largest = MOST_EXACT if self.kind == "int" else sys.float_info.max / 2
        # NaN is within no bounds.
        if not all(-largest <= v <= largest for v in self.values):
            raise InputError(
                f"search.{field}: {self.kind} needs numbers from {-largest:.4g} to {largest:.4g}, "
                f"but it is {list(self.values)}."
            )
        if low >= high or (self.kind == "loguniform" and low <= 0):
            above = " above zero" if self.kind == "loguniform" else ""
            raise InputError(
                f"search.{field}: {self.kind} needs a lower and a higher bound{above}, "
                f"but it is {list(self.values)}."
            )


def make_grid(spaces: Mapping[str, Space], count: int) -> list[dict[str, Any]]:
    """Return all combinations of evenly spaced values of each field, at most ``count``.

    A choice has all its values. All other fields have the same number of values, both ends
    included: the largest number with which there are at most ``count`` combinations.

    Raises:
        InputError: the choices alone have more than ``count`` combinations.
    """
    choices = math.prod(len(s.values) for s in spaces.values() if s.kind == "choice")
    if choices > count:
        raise InputError(
            f"searcher grid has {choices} combinations of choices, but trials is {count}: raise "
            "trials, or search fewer choices."
        )
    ranges = sum(space.kind != "choice" for space in spaces.values())
    steps = 1
    while ranges and choices * (steps + 1) ** ranges <= count:
        steps += 1
    axes = [_steps(space, steps) for space in spaces.values()]
    return [dict(zip(spaces, values, strict=True)) for values in itertools.product(*axes)]


def _steps(space: Space, steps: int) -> list[Any]:
    if space.kind == "choice":
        return list(space.values)
    # A single value is the middle of the space; the ends are the least typical values.
    positions = [step / (steps - 1) for step in range(steps)] if steps > 1 else [0.5]
    # Integers of a narrow range repeat: each would be a trial of the same settings.
    return list(dict.fromkeys(_at(space, position) for position in positions))


def sample_configs(spaces: Mapping[str, Space], count: int, seed: int) -> list[dict[str, Any]]:
    """Sample ``count`` settings, the same ones for the same seed, and first those of fewer.

    The values of each field are spread evenly over its space (a Latin hypercube, McKay et al.
    1979), so that a dozen trials cover it better than independent samples. On a log scale few
    learning rates are drawn outside of the usual range.
    """
    # A stream for each field: what it takes grows with the number of settings.
    streams = np.random.default_rng(seed).spawn(len(spaces))
    columns = {
        name: _spread(space, count, rng, is_rate=bool(LEARNING_RATE.search(name)))
        for (name, space), rng in zip(spaces.items(), streams, strict=True)
    }
    return [{name: column[i] for name, column in columns.items()} for i in range(count)]


def perturb_config(
    spaces: Mapping[str, Space], drawn: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Return settings near these, within their spaces (Jaderberg et al. 2017).

    With probability 1/4 a value is sampled anew. Otherwise a number is multiplied by 0.8 or 1.2, an
    integer changes by a fifth of its value (at least 1), and a choice moves to a neighbour.
    """
    return {name: _near(space, drawn[name], rng) for name, space in spaces.items()}


def _near(space: Space, value: Any, rng: np.random.Generator) -> Any:
    if rng.uniform() < 0.25:
        return _spread(space, 1, rng)[0]
    up = rng.uniform() < 0.5
    if space.kind == "choice":
        # A list read from a log was a tuple in the job.
        choice = tuple(cast("list[Any]", value)) if isinstance(value, list) else value
        index = space.values.index(choice) + (1 if up else -1)
        return space.values[min(max(index, 0), len(space.values) - 1)]
    low, high = space.values
    if space.kind == "int":
        step = max(1, round(0.2 * abs(value)))
        return int(min(max(value + (step if up else -step), low), high))
    return _round_within(value * (1.2 if up else 0.8), low, high)


def _spread(
    space: Space, count: int, rng: np.random.Generator, *, is_rate: bool = False
) -> list[Any]:
    positions = _draw_positions(count, rng)
    if is_rate and space.kind == "loguniform":
        positions = _prefer_usual_rates(space, positions)
    if space.kind == "choice":
        return [space.values[int(p * len(space.values))] for p in positions]
    return [_at(space, position) for position in positions]


def _draw_positions(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return positions [N] between 0 and 1: of the first 2, 4, 8, … one in each equal cell.

    So a sweep that is extended has the settings of one that was as large from the start.
    """
    cells, offsets = np.zeros(1, int), rng.uniform(size=1)
    while (size := len(cells)) < count:
        # Each cell is cut in two: the half that is empty gets a position, in random order.
        halves = (offsets >= 0.5).astype(int)
        cells, offsets = 2 * cells + halves, 2 * offsets - halves
        cells = np.append(cells, rng.permutation(cells ^ 1))
        offsets = np.append(offsets, rng.uniform(size=size))
    return ((cells + offsets) / len(cells))[:count]


def _prefer_usual_rates(space: Space, positions: np.ndarray) -> np.ndarray:
    """Return positions [N] on a range of learning rates of which few are outside the usual ones."""
    low, high = space.values
    ends = np.log(np.clip([low, *USUAL_RATES, high], low, high))
    weights = np.diff(ends) * (UNUSUAL, 1.0, UNUSUAL)
    if weights[1] in (0.0, weights.sum()):
        return positions  # all of them are usual, or none
    parts = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
    return np.interp(positions, parts, (ends - ends[0]) / (ends[-1] - ends[0]))


def _at(space: Space, position: float) -> Any:
    """Return the value at a position between 0 and 1 of a range of numbers."""
    low, high = space.values
    if space.kind == "int":
        # Equal cells for all integers, both ends included; position 1.0 would be one too many.
        return min(math.floor(low + position * (high - low + 1)), high)
    if space.kind == "loguniform":
        start, end = math.log(low), math.log(high)
        return _round_within(math.exp(start + position * (end - start)), low, high)
    return _round_within(low + position * (high - low), low, high)


def _round_within(value: float, low: float, high: float) -> float:
    """Return a value of a range with the digits that its values differ by, at least four."""
    # Few digits: settings in reports, names and commands stay readable and exact. More where the
    # range is narrow: with four, a discount between 0.999 and 0.99999 could become 1.
    width = (high - low) / max(abs(low), abs(high))
    digits = max(4, 2 - math.floor(math.log10(width)))
    return min(max(float(f"{value:.{digits}g}"), float(low)), float(high))
