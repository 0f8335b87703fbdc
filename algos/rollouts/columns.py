"""The batch that flows from rollout to loss.

A :class:`Columns` is a table with named columns whose rows belong together: a step, a pair, a graph
or a token sequence. A column is a dense array ``[N, ...]`` or a :class:`Ragged` one (rows of
different length). A column may hold *ids* into a side table of the same name (texts, graphs), which
a selection of rows never copies. Padding is a view made inside a model, never storage.

RLlib's SampleBatch cannot carry this: it slices ragged values silently wrong, so batches travel to
the learners as ``TrainingData(batch=columns)``, which hands them over untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch

from algos.losses.loss_expressions import Expression

Array: TypeAlias = Any
"""A numpy array or a torch tensor; every function here accepts both."""


@dataclass(frozen=True)
class Ragged:
    """N rows of different length: ``values [sum of lengths, ...]``, ``offsets [N + 1]``.

    >>> rows = Ragged.from_rows([np.array([1, 2]), np.array([3])])
    >>> rows.lengths.tolist(), rows.select(np.array([1, 0])).values.tolist()
    ([2, 1], [3, 1, 2])
    >>> rows.pad()[0].tolist()
    [[1, 2], [3, 0]]
    """

    values: Array
    offsets: Array

    @classmethod
    def from_rows(cls, rows: Sequence[Array]) -> Ragged:
        """Build from a list of numpy rows ``[length, ...]``."""
        lengths = [len(row) for row in rows]
        return cls(np.concatenate([np.asarray(row) for row in rows]), _offsets(np.array(lengths)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Array:
        """Length of each row ``[N]``."""
        return self.offsets[1:] - self.offsets[:-1]

    def select(self, index: Array) -> Ragged:
        """Return the rows at ``index [M]``, in that order."""
        lengths, starts = self.lengths[index], self.offsets[:-1][index]
        offsets = _offsets(lengths)
        # Position of each value within its new row: a running count minus the row's first
        # count.
        within = _arange(offsets[-1], like=lengths) - _repeat(offsets[:-1], lengths)
        return Ragged(_take(self.values, _repeat(starts, lengths) + within), offsets)

    def segment_ids(self) -> Array:
        """Return the row number of every value ``[sum of lengths]``."""
        return _repeat(_arange(len(self), like=self.lengths), self.lengths)

    def sum_by_row(self, values: Array) -> Array:
        """Return the sum [N] of values [sum of lengths] in each row, gradients included."""
        if isinstance(values, np.ndarray):
            return np.bincount(self.segment_ids(), values, len(self)).astype(values.dtype)
        if isinstance(values, Expression):
            return values.sum_by_row(self)
        return values.new_zeros(len(self)).index_add(0, self.segment_ids(), values)

    def pad(self, fill: float = 0, *, left: bool = False) -> tuple[Array, Array]:
        """Return a dense view ``[N, longest, ...]`` and its mask ``[N, longest]``."""
        longest = int(self.lengths.max())
        position = _arange(longest, like=self.lengths)[None, :]
        shift = (longest - self.lengths)[:, None] if left else 0 * self.lengths[:, None]
        mask = (position >= shift) & (position < shift + self.lengths[:, None])
        shape = (len(self), longest, *self.values.shape[1:])
        if isinstance(self.values, torch.Tensor):
            dense = self.values.new_full(shape, fill)
        else:
            dense = np.full(shape, fill, self.values.dtype)
        # A boolean mask is filled row by row, which is the order of the values.
        dense[mask] = self.values
        return dense, mask

    def to_torch(self, device: torch.device | str = "cpu") -> Ragged:
        """Return the same rows as tensors on ``device``."""
        return Ragged(_tensor(self.values, device), _tensor(self.offsets, device))

    def to_numpy(self) -> Ragged:
        """Return the same rows (tensors on the CPU) as numpy arrays that share their memory."""
        return Ragged(self.values.numpy(), self.offsets.numpy())


Column: TypeAlias = Array | Ragged


@dataclass(frozen=True)
class Columns(Mapping[str, Any]):
    """A table of N rows.

    Attributes:
        rows: column name to dense array ``[N, ...]`` or Ragged of N rows.
        tables: side tables; the column of the same name holds ids found in the table's ``id``.

    Raises:
        ValueError: columns of unequal length, an object array, or a table without its id column.

    >>> table = Columns({"obs": np.array([[1.0], [2.0]]), "choice": np.array([0, 1])})
    >>> len(table), table.select(np.array([1]))["choice"].tolist()
    (2, [1])
    """

    rows: dict[str, Column]
    tables: dict[str, Columns] = field(default_factory=dict[str, "Columns"])

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.rows.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"The columns have different numbers of rows: {lengths}.")
        for name, column in self.rows.items():
            if isinstance(column, np.ndarray) and column.dtype == object:
                raise ValueError(
                    f"Column {name!r} holds Python objects; use Ragged for uneven rows."
                )
        for name, table in self.tables.items():
            if name not in self.rows or "id" not in table.rows:
                raise ValueError(
                    f"Table {name!r} needs a column {name!r} of ids and an 'id' column."
                )

    def __getitem__(self, name: str) -> Any:
        return self.rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        """Return the number of rows (not of columns)."""
        return len(next(iter(self.rows.values()))) if self.rows else 0

    def select(self, index: Array) -> Columns:
        """Return the rows at ``index [M]``, or of a mask; side tables are shared, not copied."""
        taken = {
            name: column.select(index) if isinstance(column, Ragged) else _take(column, index)
            for name, column in self.rows.items()
        }
        return Columns(taken, self.tables)

    def with_columns(self, **columns: Column) -> Columns:
        """Return the same rows with columns added or replaced."""
        return replace(self, rows={**self.rows, **columns})

    def look_up(self, name: str) -> Columns:
        """Return the rows of side table ``name``, one for each id in the column of that name."""
        ids, table = self.rows[name], self.tables[name]
        ids = ids.values if isinstance(ids, Ragged) else ids
        return table.select(_positions(table["id"], ids))

    def prune(self) -> Columns:
        """Return the same rows with side tables cut down to the ids in use."""
        kept: dict[str, Columns] = {}
        for name, table in self.tables.items():
            ids = self.rows[name]
            # Sorted, as look_up needs the table's ids for its binary search.
            used = np.unique(ids.values if isinstance(ids, Ragged) else ids)
            kept[name] = table.select(_positions(table["id"], used))
        return replace(self, tables=kept)

    def shard(self, parts: int) -> list[Columns]:
        """Return ``parts`` tables of equal length; at most ``parts - 1`` last rows are left out.

        Equal shards are what keeps several learners in step: with unequal ones they would run
        different numbers of minibatches and wait for each other for ever.
        """
        size = len(self) // parts
        return [self.select(np.arange(i * size, (i + 1) * size)).prune() for i in range(parts)]

    def to_torch(self, device: torch.device | str = "cpu") -> Columns:
        """Return the table as tensors on ``device``. Read-only arrays are copied, never written."""
        rows = {
            name: column.to_torch(device) if isinstance(column, Ragged) else _tensor(column, device)
            for name, column in self.rows.items()
        }
        return Columns(rows, {name: table.to_torch(device) for name, table in self.tables.items()})

    def to_numpy(self) -> Columns:
        """Return the rows (tensors on the CPU) as numpy arrays that share their memory."""
        rows = {
            name: column.to_numpy() if isinstance(column, Ragged) else column.numpy()
            for name, column in self.rows.items()
        }
        return Columns(rows)


def concat(parts: Sequence[Columns]) -> Columns:
    """Return the rows of all parts after one another; side tables are united by id."""
    if len(parts) == 1:
        return parts[0]
    if any(part.rows.keys() != parts[0].rows.keys() for part in parts):
        raise ValueError(f"The parts have different columns: {[sorted(part) for part in parts]}.")
    rows: dict[str, Column] = {}
    for name in parts[0]:
        columns = [part[name] for part in parts]
        if isinstance(columns[0], Ragged):
            lengths = np.concatenate([column.lengths for column in columns])
            values = np.concatenate([column.values for column in columns])
            rows[name] = Ragged(values, _offsets(lengths))
        else:
            rows[name] = np.concatenate(columns)
    tables: dict[str, Columns] = {}
    for name in parts[0].tables:
        united = concat([part.tables[name] for part in parts])
        # unique sorts, too: the binary search of look_up relies on it.
        _, first = np.unique(united["id"], return_index=True)
        tables[name] = united.select(first)
    return Columns(rows, tables)


def split_minibatches(rows: Columns, size: int, generator: torch.Generator) -> list[Columns]:
    """Shuffle the rows and cut them into minibatches of at most ``size``.

    The last part takes the remainder when that is at least half of ``size``; a smaller one is left
    to the next pass's shuffle, so that no update is dominated by a handful of rows.
    """
    size = min(size, len(rows))
    # Drawn on the CPU, where the generator lives: the order is the same for every device.
    order: Array = torch.randperm(len(rows), generator=generator)
    count = (len(rows) + size // 2) // size
    first = next(iter(rows.rows.values()))
    kind = first.values if isinstance(first, Ragged) else first
    order = order.numpy() if isinstance(kind, np.ndarray) else order.to(kind.device)
    cuts = [slice(i * size, (i + 1) * size) for i in range(count)]
    # Dense columns are shuffled once and cut into views: a gather for each part costs more.
    parts: dict[str, Sequence[Any]] = {}
    for name, column in rows.rows.items():
        if isinstance(column, Ragged):
            parts[name] = [column.select(order[cut]) for cut in cuts]
        else:
            shuffled = _take(column, order)
            parts[name] = [shuffled[cut] for cut in cuts]
    return [Columns({n: p[i] for n, p in parts.items()}, rows.tables) for i in range(count)]


def _take(array: Array, index: Array) -> Array:
    """Return ``array[index]``, for numbers of rows in a third to a tenth of the time."""
    if index.dtype in (np.dtype(bool), torch.bool):  # a mask, which ``take`` would read as 0 and 1
        return array[index]
    if isinstance(array, torch.Tensor):
        return array.index_select(0, torch.as_tensor(index, device=array.device))
    return array.take(index, 0)


def _offsets(lengths: Array) -> Array:
    if isinstance(lengths, torch.Tensor):
        return torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    return np.concatenate([[0], np.cumsum(lengths)])


def _arange(count: Array | int, like: Array) -> Array:
    if isinstance(like, torch.Tensor):
        return torch.arange(int(count), device=like.device)
    return np.arange(int(count))


def _repeat(values: Array, times: Array) -> Array:
    if isinstance(values, torch.Tensor):
        return torch.repeat_interleave(values, times)
    return np.repeat(values, times)


def _positions(sorted_ids: Array, ids: Array) -> Array:
    positions = (
        torch.searchsorted(sorted_ids, ids)
        if isinstance(sorted_ids, torch.Tensor)
        else np.searchsorted(sorted_ids, ids)
    )
    # An id above all others gets the position len(sorted_ids), which must not be indexed.
    inside = positions < len(sorted_ids)
    if not bool(inside.all()) or not bool((sorted_ids[positions] == ids).all()):
        raise ValueError("A column holds ids that its side table, sorted by id, does not have.")
    return positions


def _tensor(array: Array, device: torch.device | str) -> torch.Tensor:
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        # Arrays out of Ray's object store are read-only; a tensor over one could be written to.
        array = array.copy()
    return torch.as_tensor(array, device=device)
