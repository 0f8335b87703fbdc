# pyright: basic
"""Sequences: contiguous rows of one copy and one episode, in as many minibatches everywhere."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from algos.models.memory import SEQUENCE_START
from algos.rollouts.columns import Columns
from algos.rollouts.sequences import (
    cut_sequences,
    mark_sequence_starts,
    split_in_order,
    split_sequences,
)


def naive_starts(done, valid):
    starts = []
    for b in range(done.shape[1]):
        begins = True
        for t in range(len(done)):
            if valid[t, b]:
                starts.append(begins)
            begins = bool(done[t, b]) if valid[t, b] else True
    return starts


@pytest.mark.parametrize("kind", ["same step", "next step", "absent agents"])
def test_a_sequence_starts_with_a_copy_an_episode_and_a_gap(kind):
    rng = np.random.default_rng(0)
    done = rng.random((40, 5)) < 0.2
    valid = np.ones_like(done)
    if kind == "next step":  # the step after an end only resets
        for t in range(1, 40):
            done[t] &= ~done[t - 1]
        valid[1:] = ~done[:-1]
    if kind == "absent agents":
        valid = rng.random((40, 5)) < 0.7
        done &= valid
    assert mark_sequence_starts(done, valid).tolist() == naive_starts(done, valid)


def split(rows, length, size, generator=None):
    generator = generator or torch.Generator().manual_seed(0)
    return split_sequences(cut_sequences(rows, length), size, generator)


def rows(count, seed=0):
    rng = np.random.default_rng(seed)
    starts = rng.random(count) < 0.1
    starts[0] = True
    episode = np.cumsum(starts)
    return Columns({SEQUENCE_START: starts, "row": np.arange(count), "episode": episode}).to_torch()


@pytest.mark.parametrize(("count", "length", "size"), [(200, 8, 32), (200, 200, 200), (64, 8, 8)])
def test_every_row_is_in_one_sequence_that_spans_no_episodes(count, length, size):
    batches = split(rows(count), length, size)
    assert sorted(torch.cat([b["row"] for b in batches]).tolist()) == list(range(count))
    for batch in batches:
        assert len(batch) and batch[SEQUENCE_START][0]
        first = [*batch[SEQUENCE_START].nonzero()[:, 0].tolist(), len(batch)]
        for a, b in pairwise(first):
            run = batch["row"][a:b]
            assert 1 <= len(run) <= length and len(set(batch["episode"][a:b].tolist())) == 1
            assert run.tolist() == list(range(int(run[0]), int(run[0]) + len(run)))


def test_an_episode_is_cut_as_seldom_as_its_length_allows():
    whole = Columns({SEQUENCE_START: np.arange(20) == 0, "row": np.arange(20)}).to_torch()
    (batch,) = split(whole, 8, 20)
    assert sorted(batch["row"][batch[SEQUENCE_START]].tolist()) == [0, 8, 16]


def test_equal_shares_give_as_many_minibatches_to_each_learner():
    every = rows(1000)
    # One learner has many short episodes, the other long ones.
    starts = every[SEQUENCE_START].clone()
    starts[:500], starts[500:] = torch.arange(500) % 3 == 0, False
    shards = Columns(every.rows | {SEQUENCE_START: starts}).to_torch()
    parts = [shards.select(torch.arange(500) + i * 500) for i in range(2)]
    counts = {len(split(p, 32, 48)) for p in parts}
    assert counts == {10}


def test_the_order_of_sequences_changes_with_each_pass():
    generator = torch.Generator().manual_seed(0)
    first, second = (split(rows(200), 8, 32, generator)[0]["row"] for _ in "ab")
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("size", [1, 7, 16, 50, 300])
def test_parts_in_order_cut_no_sequence(size):
    whole = cut_sequences(rows(200), 8)
    starts = whole[SEQUENCE_START]
    parts = split_in_order(whole, size)
    assert torch.cat(parts).tolist() == list(range(200))
    assert all(len(part) and starts[part[0]] for part in parts)
    # No longer than asked for by more than what is left of a sequence, and no more of them.
    assert max(map(len, parts)) < size + 8 and len(parts) <= -(-200 // size)


def test_parts_of_rows_without_sequences_have_the_size_asked_for():
    parts = split_in_order(Columns({"row": torch.arange(10)}), 4)
    assert [part.tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
