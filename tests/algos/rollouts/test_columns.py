# pyright: basic
"""Columns: uneven rows, selections, side tables, shards and minibatches lose and mix up nothing."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from algos.rollouts.columns import Columns, Ragged, concat, split_minibatches

EXAMPLES = settings(derandomize=True, max_examples=40)
LISTS = st.lists(st.lists(st.integers(-9, 9), max_size=4), min_size=1, max_size=6)


def ragged(lists):
    return Ragged.from_rows([np.array(row, np.int64) for row in lists])


def unpacked(rows):
    """A Ragged as Python lists again."""
    offsets = rows.offsets.tolist()
    values = rows.values.tolist()
    return [values[a:b] for a, b in itertools.pairwise(offsets)]


@st.composite
def selections(draw):
    lists = draw(LISTS)
    index = draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    return lists, index


# Rows of different length.


@EXAMPLES
@given(LISTS)
def test_uneven_rows_come_back_as_they_were(lists):
    rows = ragged(lists)
    assert len(rows) == len(lists)
    assert unpacked(rows) == lists
    assert rows.lengths.tolist() == [len(row) for row in lists]
    assert rows.segment_ids().tolist() == [i for i, row in enumerate(lists) for _ in row]


@EXAMPLES
@given(selections())
def test_a_selection_of_uneven_rows_is_that_of_the_lists(drawn):
    lists, index = drawn
    expected = [lists[i] for i in index]
    where = np.array(index, np.int64)
    assert unpacked(ragged(lists).select(where)) == expected
    assert unpacked(ragged(lists).to_torch().select(torch.from_numpy(where))) == expected


@EXAMPLES
@given(LISTS, st.booleans(), st.booleans())
def test_padding_puts_each_value_in_its_place_and_marks_it(lists, left, tensors):
    rows = ragged(lists).to_torch() if tensors else ragged(lists)
    dense, mask = rows.pad(-99, left=left)
    longest = max(map(len, lists))
    gaps = [[-99] * (longest - len(row)) for row in lists]
    pairs = list(zip(gaps, lists, strict=True))
    expected = [gap + row if left else row + gap for gap, row in pairs]
    assert dense.tolist() == expected
    assert mask.tolist() == [[value != -99 for value in row] for row in expected]


def test_padding_worked_out_by_hand_for_values_that_are_vectors():
    rows = Ragged.from_rows([np.array([[1, 2]]), np.array([[3, 4], [5, 6]])])
    dense, mask = rows.pad()
    assert dense.tolist() == [[[1, 2], [0, 0]], [[3, 4], [5, 6]]]
    assert mask.tolist() == [[True, False], [True, True]]


# Tables.


def table(ids=(7, 3, 7), texts=None):
    """Three steps about two graphs, of which the side table has one more."""
    graphs = Columns(
        {
            "id": np.array([3, 5, 7]),
            "size": np.array([30, 50, 70]),
            "edges": texts or ragged([[3], [5, 5], [7, 7, 7]]),
        }
    )
    return Columns(
        {"graph": np.array(ids), "reward": np.arange(len(ids)), "path": ragged([[1], [], [2, 3]])},
        {"graph": graphs},
    )


def test_a_selection_takes_the_same_rows_of_every_column():
    rows = table()
    taken = rows.select(np.array([2, 0]))
    assert taken["graph"].tolist() == [7, 7]
    assert taken["reward"].tolist() == [2, 0]
    assert unpacked(taken["path"]) == [[2, 3], [1]]
    assert taken.tables["graph"] is rows.tables["graph"]


def test_a_selection_by_a_mask_takes_its_rows():
    mask = np.array([True, False, True])
    for rows, chosen in ((table(), mask), (table().to_torch(), torch.from_numpy(mask))):
        taken = rows.select(chosen)
        assert taken["reward"].tolist() == [0, 2]
        assert unpacked(taken["path"]) == [[1], [2, 3]]


def test_looking_into_a_side_table_gives_one_row_for_each_id():
    found = table().look_up("graph")
    assert found["size"].tolist() == [70, 30, 70]
    assert unpacked(found["edges"]) == [[7, 7, 7], [3], [7, 7, 7]]
    assert table().to_torch().look_up("graph")["size"].tolist() == [70, 30, 70]


def test_an_uneven_column_of_ids_is_looked_up_value_by_value():
    pages = Columns({"id": np.array([1, 2, 3]), "price": np.array([10, 20, 30])})
    rows = Columns({"page": ragged([[2, 3], [], [1]])}, {"page": pages})
    assert rows.look_up("page")["price"].tolist() == [20, 30, 10]


@pytest.mark.parametrize("missing", [4, 0, 99])
def test_ids_that_the_side_table_lacks_are_an_error(missing):
    rows = table(ids=(7, missing, 3))
    for broken in (rows, rows.to_torch()):
        with pytest.raises(
            ValueError, match="ids that its side table, sorted by id, does not have"
        ):
            broken.look_up("graph")
    with pytest.raises(ValueError, match="ids that its side table, sorted by id, does not have"):
        rows.prune()


def test_pruning_keeps_the_ids_in_use_and_changes_no_look_up():
    rows = table().select(np.array([0, 2]))
    pruned = rows.prune()
    assert pruned.tables["graph"]["id"].tolist() == [7]
    assert pruned.look_up("graph")["size"].tolist() == rows.look_up("graph")["size"].tolist()


def test_concatenated_tables_keep_rows_and_unite_side_tables():
    first = table(ids=(3, 3, 3)).prune()
    second = table(ids=(7, 5, 7)).prune()
    both = concat([second, first])
    assert len(both) == 6
    assert both["reward"].tolist() == [0, 1, 2, 0, 1, 2]
    assert unpacked(both["path"]) == [[1], [], [2, 3]] * 2
    assert both.tables["graph"]["id"].tolist() == [3, 5, 7]
    assert both.look_up("graph")["size"].tolist() == [70, 50, 70, 30, 30, 30]


@EXAMPLES
@given(st.lists(LISTS, min_size=1, max_size=4))
def test_uneven_rows_after_one_another_are_those_of_the_lists(parts):
    both = concat([Columns({"x": ragged(lists)}) for lists in parts])
    assert unpacked(both["x"]) == [row for lists in parts for row in lists]


@EXAMPLES
@given(st.integers(1, 20), st.integers(1, 5))
def test_shards_are_equal_and_leave_out_few_rows(count, parts):
    shards = Columns({"row": np.arange(count)}).shard(parts)
    assert len(shards) == parts
    assert len({len(shard) for shard in shards}) == 1
    kept = [row for shard in shards for row in shard["row"].tolist()]
    assert kept == list(range(len(kept)))
    assert count - len(kept) < parts


def test_a_shard_carries_only_the_side_rows_it_needs():
    first, second, third = table().shard(3)
    assert [s.tables["graph"]["id"].tolist() for s in (first, second, third)] == [[7], [3], [7]]
    assert second.look_up("graph")["size"].tolist() == [30]


@pytest.mark.parametrize(
    ("rows", "tables", "sentence"),
    [
        ({"a": np.zeros(2), "b": np.zeros(3)}, {}, "different numbers of rows"),
        ({"a": np.array([[1], [2, 3]], object)}, {}, "'a' holds Python objects; use Ragged"),
        ({"a": np.zeros(2)}, {"b": Columns({"id": np.zeros(1)})}, "needs a column 'b'"),
        ({"a": np.zeros(2)}, {"a": Columns({"x": np.zeros(1)})}, "an 'id' column"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(rows, tables, sentence):
    with pytest.raises(ValueError, match=sentence):
        Columns(rows, tables)


def test_columns_are_added_without_changing_the_table():
    rows = Columns({"a": np.arange(3)})
    more = rows.with_columns(b=np.arange(3) * 2, a=np.zeros(3))
    assert list(rows) == ["a"] and rows["a"].tolist() == [0, 1, 2]
    assert more["b"].tolist() == [0, 2, 4] and more["a"].tolist() == [0, 0, 0]


def test_read_only_arrays_are_copied_to_tensors():
    array = np.arange(4.0)
    array.flags.writeable = False
    uneven = ragged([[1], [2, 3]])
    uneven.values.flags.writeable = False
    tensors = Columns({"a": array[:2], "x": uneven}).to_torch()
    tensors["a"].zero_()
    tensors["x"].values.zero_()
    assert array.tolist() == [0, 1, 2, 3]
    assert uneven.values.tolist() == [1, 2, 3]


def test_a_table_of_tensors_moves_to_a_device():
    table = Columns({"a": np.arange(3)}).to_torch()
    assert table.to_torch("cpu")["a"].tolist() == [0, 1, 2]


def test_a_selection_is_a_copy_that_may_be_written_to():
    rows = Columns({"a": np.arange(3)})
    rows.select(np.array([0, 1, 2]))["a"][:] = 9
    assert rows["a"].tolist() == [0, 1, 2]


# Minibatches.


def by_epoch(count, size, epochs, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = Columns(
        {"row": np.arange(count), "uneven": Ragged.from_rows([[i] * (i % 3) for i in range(count)])}
    )
    passes = [split_minibatches(rows.to_torch(), size, generator) for _ in range(epochs)]
    for part in (part for parts in passes for part in parts):
        # Ragged columns are shuffled like the dense ones.
        assert part["uneven"].lengths.tolist() == [row % 3 for row in part["row"].tolist()]
    return [[part["row"].tolist() for part in parts] for parts in passes]


@EXAMPLES
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3))
def test_minibatches_cover_each_row_once_in_every_epoch(size, parts, epochs):
    for epoch in by_epoch(size * parts, size, epochs):
        assert [len(batch) for batch in epoch] == [size] * parts
        assert sorted(itertools.chain(*epoch)) == list(range(size * parts))


def test_a_remainder_is_used_from_half_a_minibatch_on():
    # 10 rows by 4: 4 + 4 + 2, which is half. 9 rows by 4: 4 + 4, and one row is left out.
    assert [len(batch) for batch in by_epoch(10, 4, 1)[0]] == [4, 4, 2]
    assert [len(batch) for batch in by_epoch(9, 4, 1)[0]] == [4, 4]


def test_the_row_left_out_is_not_always_the_same():
    left_out = {(set(range(9)) - {*itertools.chain(*e)}).pop() for e in by_epoch(9, 4, 20)}
    assert len(left_out) > 3


def test_fewer_rows_than_a_minibatch_make_one():
    assert [sorted(batch) for batch in by_epoch(3, 100, 1)[0]] == [[0, 1, 2]]


def test_every_epoch_is_shuffled_anew_by_its_generator():
    first, second = by_epoch(32, 8, 2)
    assert first != second
    assert by_epoch(32, 8, 2) == [first, second]
    assert by_epoch(32, 8, 2, seed=1) != [first, second]
