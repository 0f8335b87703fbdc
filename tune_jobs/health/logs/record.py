"""One line of a foreign log, before its names are translated."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import cast


@dataclasses.dataclass(frozen=True)
class Record:
    """One line of a foreign log."""

    location: str
    """Where it stands, for messages: ``line 7``."""
    values: Mapping[str, object]
    """Foreign name to number, text or list; a cell that is empty is not there."""


def flatten(nested: Mapping[str, object], before: str = "") -> dict[str, object]:
    """Return nested keys joined by a slash, without those that have no value."""
    flat: dict[str, object] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(cast("Mapping[str, object]", value), f"{before}{key}/")
        elif value is not None:
            flat[before + str(key)] = value
    return flat
