# pyright: basic
"""States are indexed, merged and copied array by array."""

import dataclasses

import numpy as np

from envs.contract.pytree import concatenate, copy_tree, put, take, where


@dataclasses.dataclass(frozen=True)
class Inner:
    x: np.ndarray


@dataclasses.dataclass(frozen=True)
class State:
    step: np.ndarray
    inner: Inner
    parts: tuple[np.ndarray, ...]


def make_state(offset=0):
    rows = np.arange(3) + offset
    return State(rows, Inner(rows[:, None] * np.ones(2)), (rows * 10,))


def test_take_indexes_every_array():
    part = take(make_state(), np.array([2, 0]))
    assert part.step.tolist() == [2, 0] and part.inner.x.tolist() == [[2, 2], [0, 0]]
    assert part.parts[0].tolist() == [20, 0]


def test_put_replaces_copies_and_leaves_the_original():
    state, ended = make_state(), np.array([False, True, False])
    merged = put(state, ended, take(make_state(offset=5), ended))
    assert merged.step.tolist() == [0, 6, 2] and merged.parts[0].tolist() == [0, 60, 20]
    assert state.step.tolist() == [0, 1, 2]


def test_put_of_all_copies_returns_the_new_tree():
    new = make_state(offset=5)
    assert put(make_state(), np.ones(3, np.bool_), new) is new


def test_where_chooses_whole_copies():
    chosen = where(np.array([True, False, True]), make_state(), make_state(offset=5))
    assert chosen.step.tolist() == [0, 6, 2] and chosen.inner.x[:, 0].tolist() == [0, 6, 2]


def test_a_copied_tree_shares_no_memory():
    state = make_state()
    other = copy_tree(state)
    assert not np.shares_memory(state.inner.x, other.inner.x)
    assert other.step.tolist() == state.step.tolist()


def test_concatenate_joins_the_batch_axis():
    both = concatenate(make_state(), make_state(offset=5))
    assert both.step.tolist() == [0, 1, 2, 5, 6, 7] and both.inner.x.shape == (6, 2)
