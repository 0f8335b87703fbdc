"""Sequences of steps, for networks with memory: contiguous rows of one copy and one episode."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from algos.models.memory import SEQUENCE_START
from algos.rollouts.columns import Columns, Ragged


def mark_sequence_starts(
    done: np.ndarray[Any, Any], valid: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return for the valid steps, copy by copy, whether an episode or a copy begins there.

    Args:
        done: [T, B], where an episode ended.
        valid: [T, B], the steps that are rows.

    >>> done = np.array([[True, False], [False, False]])
    >>> mark_sequence_starts(done, np.ones((2, 2), bool)).tolist()
    [True, True, True, False]
    """
    rows = valid.T
    copies = np.nonzero(rows)[0]
    # The row after an end begins the next episode: steps that only reset are no rows.
    ended = done.T[rows]
    starts = np.ones(len(copies), bool)
    starts[1:] = ended[:-1] | (copies[1:] != copies[:-1])
    return starts


def split_sequences(
    rows: Columns, length: int, size: int, generator: torch.Generator
) -> list[Columns]:
    """Shuffle sequences of at most ``length`` rows, and deal them out to minibatches.

    Args:
        rows: rows [N] with ``SEQUENCE_START``, as tensors.
        length: steps through which gradients pass at most.
        size: rows of a minibatch on average, at least ``length``: sequences are not cut to fill it.
        generator: draws the order.

    Returns:
        Minibatches of whole sequences after one another, their starts marked.
    """
    starts = rows[SEQUENCE_START].clone()
    starts[0] = True  # a learner's share may begin anywhere
    position = torch.arange(len(rows), device=starts.device)
    begin = torch.where(starts, position, 0).cummax(0).values
    starts |= (position - begin) % length == 0
    first = starts.nonzero()[:, 0]
    offsets = torch.cat([first, torch.full_like(first[:1], len(rows))])
    marked = rows.with_columns(**{SEQUENCE_START: starts})
    whole = {name: Ragged(column, offsets) for name, column in marked.items()}
    order = torch.randperm(len(first), generator=generator).to(starts.device)
    # By the number of rows, which is the same in all learners: with different numbers of
    # minibatches they would wait for each other for ever.
    count = max((len(rows) + size // 2) // size, 1)
    return [
        Columns({name: c.select(part).values for name, c in whole.items()}, rows.tables)
        for part in order.tensor_split(count)
    ]
