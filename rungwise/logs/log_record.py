"""One line of a foreign log, before its names are translated."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

LONGEST_INT = 300
"""Digits of an integer that is certain to be a float, too."""


@dataclasses.dataclass(frozen=True)
class Record:
    """One line of a foreign log."""

    location: str
    """Where it stands, for messages: ``line 7``."""
    values: Mapping[str, object]
    """Foreign name to number, text or list; a cell that is empty is not there."""


def parse_json(text: str | bytes) -> Any:
    """Return what JSON of a log says; an integer that is too large for a float is infinite.

    Raises:
        ValueError: it is not JSON, or is nested deeper than Python can follow.
    """
    try:
        return json.loads(text, parse_int=_parse_int)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INT else float(digits)


def flatten(nested: Mapping[str, object]) -> dict[str, object]:
    """Return nested keys joined by a slash, without those that have no value."""
    flat: dict[str, object] = {}
    # A stack, since JSON may be nested deeper than functions can call themselves.
    waiting = [(str(key), value) for key, value in reversed(list(nested.items()))]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            items = cast("Mapping[str, object]", value).items()
            waiting += reversed([(f"{name}/{key}", inner) for key, inner in items])
        elif value is not None:
            flat[name] = value
    return flat


def list_names(records: Iterable[Record]) -> list[str]:
    """Return the names in some records, in their order."""
    return list(dict.fromkeys(name for record in records for name in record.values))


def list_chart_columns(names: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return the run and the metric of each column of a chart that W&B exported; else nothing.

    It is called ``run - metric``, and two more have its extremes.
    """
    plain = [name for name in names if not name.endswith(("__MIN", "__MAX"))]
    parts = {name: name.rpartition(" - ") for name in plain if len(plain) < len(names)}
    return {name: (run, metric) for name, (run, dash, metric) in parts.items() if dash}
