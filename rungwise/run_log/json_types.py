"""Conversion of values to the types of strict JSON, which has no numbers that are not finite."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any, cast

DIGITS = 9
"""A float32 is the same again after as many. All those of a float64, of which metrics have no use,
made the log a third larger."""


def to_json_types(value: object) -> Any:
    """Return a value in types of strict JSON: arrays become lists, non-finite numbers None."""
    return convert_to_json(value)[0]


def convert_to_json(value: object) -> tuple[Any, list[list[str | int]]]:
    """Convert a value to types of strict JSON.

    Returns:
        The value, and for each number in it that is not finite its path and its name (``inf``).
    """
    nonfinite: list[list[str | int]] = []
    return _convert(value, (), nonfinite), nonfinite


def dump_metrics(metrics: Mapping[str, Any]) -> str:
    """Return the metrics of a trial's result as a text, with numbers of :data:`DIGITS` digits."""
    return json.dumps(_round(metrics))


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _round(entry) for name, entry in items}
    return (
        [_round(entry) for entry in cast("list[Any]", value)] if isinstance(value, list) else value
    )


@functools.lru_cache(maxsize=1)  # stopper, scheduler and trackers read those of the same result
def parse_metrics(text: str) -> Mapping[str, Any]:
    """Parse the metrics of a trial's result, which are reported to Ray Tune as one text."""
    return json.loads(text)


def _convert(value: Any, path: tuple[str | int, ...], nonfinite: list[list[str | int]]) -> Any:
    if hasattr(value, "tolist"):  # numpy and torch, without importing either
        value = value.tolist()
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(key): _convert(item, (*path, str(key)), nonfinite) for key, item in items}
    if isinstance(value, list | tuple):
        entries = enumerate(cast("list[Any]", value))
        return [_convert(item, (*path, index), nonfinite) for index, item in entries]
    if isinstance(value, float) and not math.isfinite(value):
        nonfinite.append([*path, repr(float(value))])
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
