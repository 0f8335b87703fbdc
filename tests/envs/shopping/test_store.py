# pyright: basic
"""Stores: shared by worlds of one source, with the same words for all splits."""

import dataclasses
import pickle

import numpy as np
import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from envs.shopping.params import Params
from envs.shopping.store import Source, get_store
from envs.shopping.world import Shopping
from rungwise.validation import InputError


def with_(world, **fields):
    """The same shop under other rules."""
    return Shopping(dataclasses.replace(world.params, **fields))


def test_splits_are_seen_in_the_same_words(cache):
    train, test = (Shopping(Params(products=300, goals=50, split=s)) for s in ("train", "test"))
    first = test.store.texts.first_goal
    assert train.observation_space == test.observation_space
    np.testing.assert_array_equal(train.tokens[:first], test.tokens[:first])


def test_stores_are_shared_by_worlds_of_the_same_source(world):
    assert with_(world, shaping=1.0).store is with_(world, shaping=2.0).store


def test_a_store_is_pickled_as_its_source(world):
    packed = pickle.dumps(world.store)
    assert len(packed) < 1000
    assert pickle.loads(packed) is get_store(world.store.source)


def test_arrays_of_a_store_equal_its_records(world):
    store = world.store
    for goal, target in enumerate(store.targets):
        assert store.products[target] is store.goals[goal].target
    for p, product in enumerate(store.products[:200]):
        assert store.prices[p] == product.prices[0]
        names = list(product.options)
        expected = [names.index(name) for name, _ in product.values]
        assert store.value_count[p] == len(expected) and store.group_count[p] == len(names)
        assert store.group_of[p].tolist() == expected + [-1] * (store.value_slots - len(expected))


def test_bits_are_those_of_the_words_of_an_instruction(world):
    store = world.store
    rows = store.texts.rows[store.texts.get_instruction_rows(np.arange(50))]
    for row, packed in zip(rows, store.instruction_bits[:50], strict=True):
        marked = np.flatnonzero(np.unpackbits(packed, bitorder="little"))
        assert marked.tolist() == sorted(set(row[row > 0].tolist()))


def test_a_split_without_goals_is_refused():
    with pytest.raises(InputError, match="split 'validation' of these 1 products has no goals"):
        get_store(Source(products=1, split="validation"))
    with pytest.raises(InputError, match="products is 0"):
        Source(products=0)
