"""Sequences of steps, for networks with memory: contiguous rows of one copy and one episode."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from algos.models.memory import SEQUENCE_START
from algos.rollouts.columns import Columns, Ragged, split_minibatches


def mark_sequence_starts(
    done: np.ndarray[Any, Any], valid: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return for the valid steps, copy by copy, whether a copy, an episode or a gap ended before.

    Args:
        done: [T, B], where an episode ended.
        valid: [T, B], the steps that are rows.

    >>> done = np.array([[True, False], [False, False]])
    >>> mark_sequence_starts(done, np.ones((2, 2), bool)).tolist()
    [True, True, True, False]
    """
    rows = valid.T
    copies, times = np.nonzero(rows)
    # The row after an end begins the next episode: steps that only reset are no rows. Behind other
    # steps that are none the state is not that which follows from the row before them.
    ended = done.T[rows]
    starts = np.ones(len(copies), bool)
    starts[1:] = ended[:-1] | (np.diff(copies) != 0) | (np.diff(times) != 1)
    return starts


def cut_sequences(rows: Columns, length: int) -> Columns:
    """Return the rows [N] with a start after each ``length`` rows of a sequence, too.

    Args:
        rows: rows with ``SEQUENCE_START``, as tensors.
        length: steps through which gradients pass at most.
    """
    starts = rows[SEQUENCE_START].clone()
    starts[0] = True  # a learner's share may begin anywhere
    position = torch.arange(len(rows), device=starts.device)
    begin = torch.where(starts, position, 0).cummax(0).values
    return rows.with_columns(**{SEQUENCE_START: starts | ((position - begin) % length == 0)})


def split_in_order(
    rows: Columns, size: int, device: torch.device | None = None
) -> tuple[torch.Tensor, ...]:
    """Return the positions of all rows [N] in parts of about ``size``, between sequences if any.

    >>> starts = torch.tensor([True, False, False, True, True, False])
    >>> [part.tolist() for part in split_in_order(Columns({SEQUENCE_START: starts}), 2)]
    [[0, 1, 2], [3], [4, 5]]
    """
    every = torch.arange(len(rows), device=device)
    if SEQUENCE_START not in rows:
        return every.split(size)
    first = rows[SEQUENCE_START].nonzero()[:, 0]
    # The first sequence that begins at or behind each multiple of the size; none: no further part.
    behind = torch.searchsorted(first, every[size::size].contiguous()).unique()
    return every.tensor_split(first[behind[behind < len(first)]].cpu())


def split_rows(rows: Columns, size: int, generator: torch.Generator) -> list[Columns]:
    """Return shuffled minibatches of ``size`` rows, of whole sequences where rows have any."""
    split = split_sequences if SEQUENCE_START in rows else split_minibatches
    return split(rows, size, generator)


def split_sequences(rows: Columns, size: int, generator: torch.Generator) -> list[Columns]:
    """Shuffle sequences, and deal them out to minibatches.

    Args:
        rows: rows [N] of :func:`cut_sequences`.
        size: rows of a minibatch on average, at least those of the longest sequence: sequences are
            not cut to fill it.
        generator: draws the order.

    Returns:
        Minibatches of whole sequences after one another.
    """
    first = rows[SEQUENCE_START].nonzero()[:, 0]
    offsets = torch.cat([first, torch.full_like(first[:1], len(rows))])
    whole = {name: Ragged(column, offsets) for name, column in rows.items()}
    order = torch.randperm(len(first), generator=generator).to(first.device)
    # Count by rows, whose number is the same in all learners: with different numbers of
    # minibatches they would wait for each other for ever.
    count = max((len(rows) + size // 2) // size, 1)
    return [
        Columns({name: c.select(part).values for name, c in whole.items()}, rows.tables)
        for part in order.tensor_split(count)
    ]
