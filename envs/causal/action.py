"""The action of both causal families: a node, and a position in its domain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.contract.pytree import Array, Floats, Ints
from rungwise.validation import InputError


def validate_action(action: Mapping[str, Array], copies: int, nodes: int) -> tuple[Ints, Floats]:
    """Return the chosen nodes [B] and positions [B] in [-1, 1] of an action for B copies.

    Raises:
        InputError: wrong shapes, an unknown node, or a value that is not finite.
    """
    node = np.asarray(action["choice"], np.int64)
    position = np.asarray(action["value"], np.float64)
    if node.shape != (copies,) or position.shape != (copies,):
        raise InputError(
            f"An action needs {copies} choices and {copies} values, one for each copy, but the "
            f"shapes are {node.shape} and {position.shape}."
        )
    if ((node < 0) | (node >= nodes)).any():
        wrong = node[(node < 0) | (node >= nodes)][0]
        raise InputError(f"The choice must be a node from 0 to {nodes - 1}, but it is {wrong}.")
    if not np.isfinite(position).all():
        raise InputError("The value must be a number in [-1, 1], but it is NaN or infinite.")
    return node, np.clip(position, -1.0, 1.0)
