"""Validation of configurations: types and bounds, with messages a user can act on.

Every configuration of Rungwise is a frozen dataclass whose fields have their bounds in the
annotation and which calls :func:`validate` in ``__post_init__``, so that a value out of range is
refused before anything starts.

>>> @dataclasses.dataclass(frozen=True)
... class Settings:
...     lr: typing.Annotated[float, Between(0, 1, low_open=True)] = 3e-4
...
...     def __post_init__(self) -> None:
...         validate(self)
>>> Settings(lr=0.1).lr
0.1
>>> Settings(lr=2.0)
Traceback (most recent call last):
rungwise.validation.InputError: lr must be in (0, 1], but it is 2.0.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin


class InputError(ValueError):
    """Input that cannot be used; the message says what is wrong, the value seen and what to do."""


LARGEST = 2**63 - 1
"""The largest whole number that arrays hold."""


class InputWarning(UserWarning):
    """Input that can be used in part; the message says what is left out."""


@dataclasses.dataclass(frozen=True)
class Between:
    """Bounds of a numeric field; an open end is excluded from the range."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"{'greater than' if self.low_open else 'at least'} {self.low:g}"
        if math.isinf(self.low):
            return f"{'less than' if self.high_open else 'at most'} {self.high:g}"
        opening, closing = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"in {opening}{self.low:g}, {self.high:g}{closing}"


Positive = Between(0, low_open=True)
"""Greater than zero."""
NonNegative = Between(0)
"""Zero or more."""
Fraction = Between(0, 1)
"""From zero to one, both included."""
AtLeastOne = Between(1)
"""One or more."""


def unknown_name_error(kind: str, name: str, known: Iterable[str], where: str = "") -> InputError:
    """Return an error for a name that does not exist, with the nearest that do.

    Args:
        kind: the kind of name, such as ``"field"``.
        name: the name seen.
        known: all accepted names.
        where: the place, such as ``"in search of job.yaml"``.

    >>> str(unknown_name_error("field", "batchsize", ["batch_size", "lr"]))
    "There is no field 'batchsize': did you mean batch_size?"
    """
    names = sorted(known)
    near = find_nearest(name, names)
    listed = f"known are {', '.join(names)}." if names else "there is none."
    hint = f"did you mean {' or '.join(near)}?" if near else listed
    return InputError(f"There is no {kind} {name!r}{' ' + where if where else ''}: {hint}")


def find_nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return at most two of the known names that are like this one, the nearest first."""
    # Upper case and hyphens make no other name.
    plain = {_simplify(known_name): known_name for known_name in sorted(known, reverse=True)}
    close = difflib.get_close_matches(_simplify(name), plain, n=2, cutoff=0.5)
    return [plain[match] for match in close]


def _simplify(name: str) -> str:
    return name.lower().replace("-", "_")


@functools.cache  # a sweep validates the settings of each of its trials
def get_fields(config: type) -> Mapping[str, tuple[Any, Between | None]]:
    """Return the plain type and the bounds, if any, of each field of a configuration class."""
    hints = typing.get_type_hints(config, include_extras=True)
    fields: dict[str, tuple[Any, Between | None]] = {}
    for field in dataclasses.fields(config):
        hint, bounds = hints[field.name], None
        if get_origin(hint) is typing.Annotated:
            hint, *marks = get_args(hint)
            bounds = next((mark for mark in marks if isinstance(mark, Between)), None)
        fields[field.name] = (hint, bounds)
    return fields


def validate(config: object, name: str = "") -> None:
    """Check every field of a dataclass against its type and bounds; call it in ``__post_init__``.

    Args:
        config: the dataclass.
        name: its key in what the user writes, such as ``"settings"``; empty where the fields stand
            alone. The names of classes mean nothing to users of flags and files.

    Raises:
        InputError: a value of the wrong type or out of bounds; the message names its field.
    """
    prefix = f"{name}." if name else ""
    for field, (hint, bounds) in get_fields(type(config)).items():
        check_value(prefix + field, getattr(config, field), hint, bounds)


def check_value(name: str, value: object, hint: Any, bounds: Between | None = None) -> None:
    """Check one value against a type hint and bounds.

    Raises:
        InputError: the value has the wrong type or is out of bounds.
    """
    # The first test is for speed: of nearly all settings it answers for the second one.
    if type(value) is not hint and not _matches(value, hint):
        raise InputError(f"{name} must be {_describe_type(hint)}, but it is {value!r}.")
    if isinstance(value, dict | tuple):
        _check_parts(name, value, hint)
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if isinstance(value, int) and abs(value) > LARGEST:
        digits = f"{abs(value):.0e}" if abs(value) < 1e300 else "hundreds of digits"
        raise InputError(f"{name} must be a number below 2^63, but it is one of {digits}.")
    if math.isnan(value):
        raise InputError(f"{name} must be a number, but it is NaN.")
    # A value of any type (an environment's own argument) may be infinite.
    if math.isinf(value) and hint is not Any:
        raise InputError(
            f"{name} must be a finite number, but it is {value!r}: take a very large one instead."
        )
    if bounds is not None and value not in bounds:
        raise InputError(f"{name} must be {bounds}, but it is {value!r}.")


def _check_parts(name: str, value: Any, hint: object) -> None:
    """Check the entries of a dictionary, by the types of its hint, or the numbers of a tuple."""
    if isinstance(value, tuple):
        for i, part in enumerate(typing.cast("tuple[Any, ...]", value)):
            check_value(f"{name}[{i}]", part, type(part))
    elif get_origin(hint) is dict:
        key_hint, value_hint = get_args(hint)
        for key, part in value.items():
            if not _matches(key, key_hint):
                raise InputError(
                    f"A name in {name} must be {_describe_type(key_hint)}, but it is {key!r}."
                )
            check_value(f"{name}.{key}", part, value_hint)


def _matches(value: object, hint: Any) -> bool:
    """Return whether a value has the type of a hint; a whole number is a number, a bool is not."""
    origin = get_origin(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_matches(value, option) for option in get_args(hint))
    if origin is tuple:
        items = get_args(hint)
        if not isinstance(value, tuple):
            return False
        if len(items) == 2 and items[1] is Ellipsis:
            return all(_matches(item, items[0]) for item in typing.cast("tuple[Any, ...]", value))
        return len(value) == len(items) and all(map(_matches, value, items))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _describe_type(hint: Any) -> str:
    """Describe a type in words for a message."""
    origin = get_origin(hint)
    if origin is Literal:
        return "one of " + ", ".join(repr(option) for option in get_args(hint))
    if origin in (Union, types.UnionType):
        return " or ".join(_describe_type(option) for option in get_args(hint))
    plain = {
        float: "a number",
        int: "a whole number",
        str: "text",
        bool: "true or false",
        type(None): "nothing",
        dict: "names and values",
        tuple: "a list",
    }
    return plain.get(origin or hint, str(getattr(hint, "__name__", hint)))
