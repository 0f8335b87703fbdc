"""Read the budget of a library's training, and copy what its TensorBoard writer is given."""

from __future__ import annotations

import math
from typing import Any

from rungwise.health.metric_table import as_number


def read_budget(value: object) -> float:
    """Return a budget that a library gives; 0, for not known, where it sets no limit."""
    budget = as_number(value)
    return budget if 0 < budget < math.inf else 0.0


def copy_scalars(writer: Any) -> dict[str, object]:
    """Return a dict that gets a copy of each scalar that a writer is given, by its tag.

    Args:
        writer: has ``add_scalar``, which takes a tag, a value and a step, in this order.
    """
    scalars: dict[str, object] = {}
    write = writer.add_scalar

    def add_scalar(*args: Any, **kwargs: Any) -> None:
        # Some libraries name the arguments, each in its own way.
        tag, value = (*args, *kwargs.values())[:2]
        scalars[tag] = value
        write(*args, **kwargs)

    # Only this writer is changed: a replacement would not be of its class, which libraries ask for.
    writer.add_scalar = add_scalar
    return scalars
