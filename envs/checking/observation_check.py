"""Check of observations against their space: what training cannot use, and what it tolerates.

Training casts observations to the type of their space and clips nothing: a value that rounding has
put outside of its bounds (1.0000000000000002 in [0, 1]) is an input of the network like any other.
So only NaN, shapes and kinds that cannot be cast are violations; the rest is worth one note.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np
from gymnasium import spaces

from envs.adapters.cast_observations import is_castable
from envs.contract.violations import BrokenEnvironmentError, Violation

SYMPTOM = "observation_in_space"


class Mismatch(NamedTuple):
    """One difference between an observation and its space."""

    difference: str
    """The value seen, and the value expected."""
    fatal: bool
    """Whether the observation cannot be used."""
    effect: str = ""
    """How training treats it, where it can be used."""


class ObservationCheck:
    """Checks the observations of one environment; adds a note of each thing tolerated, once.

    Args:
        space: the space of the observations.
        notes: where the notes are added.
    """

    def __init__(self, space: spaces.Space[Any], notes: list[Violation]) -> None:
        self._space, self._notes = space, notes
        self._noted: set[str] = set()

    def judge(self, observation: object, source: str, step: int | None) -> None:
        """Check one observation.

        Args:
            observation: the observation.
            source: the call that returned it.
            step: the step at which it did, if known.

        Raises:
            BrokenEnvironmentError: it cannot be used.
        """
        where = source if step is None else f"{source} at step {step}"
        for name, part in _list_leaves(observation):
            if np.issubdtype(part.dtype, np.floating) and not np.isfinite(part).all():
                raise BrokenEnvironmentError(
                    Violation(
                        "observation_finite",
                        f"Expected finite observations, but {where} gave NaN or infinity in {name}:"
                        " look for a division by zero, and clip what can grow without limit.",
                        step,
                    )
                )
        if observation in self._space:
            return
        expected = f"Expected an observation inside {self._space}, but {where} gave"
        mismatches = list(_find_mismatches(self._space, observation))
        for difference, fatal, _ in mismatches:
            if fatal:
                remedy = "correct the space, or convert the observation"
                raise BrokenEnvironmentError(
                    Violation(SYMPTOM, f"{expected} {difference}: {remedy}.", step)
                )
        for difference, _, effect in mismatches:
            if effect not in self._noted:
                self._noted.add(effect)
                self._notes.append(
                    Violation(SYMPTOM, f"{expected} {difference}: {effect}.", step, "note")
                )


def _find_mismatches(space: spaces.Space[Any], observation: object) -> Iterator[Mismatch]:
    """Yield how an observation differs from its space."""
    if observation in space:
        return
    if isinstance(space, spaces.Dict) and isinstance(observation, dict):
        parts: dict[Any, Any] = cast("dict[Any, Any]", observation)
        inner: dict[Any, spaces.Space[Any]] = dict(space.spaces)
    elif isinstance(space, spaces.Tuple) and isinstance(observation, tuple):
        parts = dict(enumerate(cast("tuple[Any, ...]", observation)))
        inner = dict(enumerate(space.spaces))
    elif (
        isinstance(space, spaces.Box | spaces.MultiBinary)
        and (array := _read_array(observation)) is not None
    ):
        yield from _compare_with_numbers(space, array)
        return
    else:
        yield Mismatch(f"{observation!r} ({type(observation).__name__})", fatal=True)
        return
    if set(parts) != set(inner):
        yield Mismatch(f"the parts {sorted(parts)} instead of {sorted(inner)}", fatal=True)
        return
    for name, part in inner.items():
        for mismatch in _find_mismatches(part, parts[name]):
            yield mismatch._replace(difference=f"in {name!r} {mismatch.difference}")


def _compare_with_numbers(
    space: spaces.Box | spaces.MultiBinary, array: np.ndarray[Any, Any]
) -> Iterator[Mismatch]:
    if array.shape != space.shape or not is_castable(array, np.dtype(space.dtype)):
        kinds = f"{array.dtype} instead of {space.shape} of {space.dtype}"
        yield Mismatch(f"shape {array.shape} of {kinds}", fatal=True)
        return
    low, high = np.zeros(array.shape, int), np.ones(array.shape, int)
    if isinstance(space, spaces.Box):
        low, high = space.low, space.high
        if not np.can_cast(array.dtype, space.dtype):
            yield Mismatch(
                f"{array.dtype} instead of {space.dtype}", fatal=False, effect="training casts it"
            )
    beyond = np.argwhere((array < low) | (array > high))
    if len(beyond):
        index = tuple(beyond[0].tolist())
        bounds = f"from {low[index]} to {high[index]}"
        yield Mismatch(
            f"{array[index]!s} at {index} instead of a value {bounds}",
            fatal=False,
            effect="training takes it as it is and clips nothing; if it is no rounding error, "
            "widen the space",
        )


def _list_leaves(observation: object, name: str = "the observation") -> list[tuple[str, Any]]:
    if isinstance(observation, dict):
        parts = cast("dict[str, Any]", observation)
        return [leaf for key, part in parts.items() for leaf in _list_leaves(part, f"{key!r}")]
    if isinstance(observation, tuple):
        values = cast("tuple[Any, ...]", observation)
        return [
            leaf
            for index, part in enumerate(values)
            for leaf in _list_leaves(part, f"part {index}")
        ]
    array = _read_array(observation)
    return [] if array is None else [(name, array)]


def _read_array(observation: object) -> np.ndarray[Any, Any] | None:
    """Return an array, a number or a list of numbers as an array; None for anything else."""
    if isinstance(observation, np.ndarray | np.generic):
        return np.asarray(observation)
    if not isinstance(observation, float | int | list | tuple):
        return None
    try:
        array = np.asarray(cast("Any", observation))
    except ValueError:  # lists of different lengths
        return None
    return array if array.dtype.kind in "biuf" else None
