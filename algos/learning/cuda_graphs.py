"""CUDA graphs: operations that are recorded once and then launched together.

A small network's operations take a few microseconds each on a GPU, and each launch from Python
takes longer than that.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

WARM_UPS = 3
"""Runs before operations are recorded: libraries allocate their memory in the first ones."""
TOLERANCE = 1e-4
"""Difference, absolute or relative, up to which a record does what the operations do."""


def record_operations(
    operations: Callable[[], None], state: Sequence[Tensor]
) -> Callable[[], None]:
    """Return what launches a record of operations, which is compared with them once.

    Where operations cannot be recorded, or their record does something else, they are returned
    themselves, with a warning.

    Args:
        operations: read and write tensors of the present GPU that stay where they are.
        state: the tensors of which the next run depends on the last; they are left unchanged.
    """
    before = [part.clone() for part in state]

    def restore() -> None:
        for part, value in zip(state, before, strict=True):
            part.copy_(value)

    # As torch asks for: on another stream, and several times.
    stream, present = torch.cuda.Stream(), torch.cuda.current_stream()
    stream.wait_stream(present)
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            operations()
    present.wait_stream(stream)
    restore()
    operations()
    expected = [part.clone() for part in state]
    restore()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            operations()
        graph.replay()
        torch.cuda.synchronize()
    except RuntimeError as error:  # torch's, of what CUDA forbids within a record
        reason = f"they cannot be recorded ({error})"
    else:
        close = (
            torch.allclose(part, value, TOLERANCE, TOLERANCE, equal_nan=True)
            for part, value in zip(state, expected, strict=True)
        )
        reason = "" if all(close) else "their record does something else"
    restore()
    if reason:
        warnings.warn(f"An update runs without a CUDA graph: {reason}.", stacklevel=2)
        return operations
    return graph.replay
