"""Recordings: columns kept as Parquet files, for other programs to read and for learning later.

Each row of a :class:`~algos.rollouts.columns.Columns` is a row of the file, so
``pandas.read_parquet(path)`` shows them as they are. A side table lies next to it as
``<stem>.<table>.parquet``. What Arrow's own types do not say (the shape behind a flattened row, the
width of text, what the file is about) stands as JSON in the schema's metadata, under the key
``rungwise``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from algos.rollouts.columns import Array, Column, Columns, Ragged, concat
from rungwise.validation import InputError
from rungwise.whole_file import replace_whole

SCHEMA = 1
"""The version of the format; a change that an older reader would misunderstand raises it."""

_KEY = b"rungwise"
_STORABLE_DTYPES = frozenset("?bhilqBHILQefdUS")
"""Numpy's letters for the dtypes that Parquet keeps exactly and without nulls (dates have NaT)."""


def write_columns(rows: Columns, path: Path, **about: str) -> None:
    """Write N rows to one Parquet file and each side table to a file next to it.

    A killed process leaves no half file: each appears complete or not at all, the main file last.
    Missing folders are made. An older file is replaced; write to a new name where others may read
    meanwhile, as main file and side tables are replaced one after the other.

    Args:
        rows: dense columns ``[N, ...]`` and Ragged ones, of numpy arrays or tensors on the CPU.
        path: where to; the name ends in ``.parquet``.
        **about: facts to keep with the rows, e.g. ``env="CausalLearning-v0"``.

    Raises:
        InputError: a name that does not end in ``.parquet``, or a dtype that Parquet cannot keep.
    """
    if path.suffix != ".parquet":
        raise InputError(f"The name of a recording must end in .parquet, but it is {path.name!r}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_table(rows, path, about, side=False)


def read_columns(path: Path) -> Columns:
    """Read what :func:`write_columns` wrote: the same numpy arrays, to the bit, free to be changed.

    Args:
        path: a file, or a folder whose recordings are read in the order of their names and put
            after one another (their side tables are united: an id means the same in every file).

    Raises:
        InputError: nothing there, a file that is damaged, foreign or of a newer version, a missing
            side table, or a folder of files with different columns.
    """
    if not path.exists():
        raise InputError(
            f"There is no recording at {path}; give a Parquet file that Rungwise wrote, or a "
            "folder of them."
        )
    if not path.is_dir():
        return _read_table(path)
    files = [file for file in sorted(path.glob("*.parquet")) if not _read_metadata(file)["side"]]
    if not files:
        inside = sorted({file.parent for file in path.rglob("*.parquet")})
        raise InputError(
            f"The folder {path} holds no recordings: it has no main *.parquet file."
            + (f" Give one of the folders in it, such as {inside[0]}." if inside else "")
        )
    parts = [_read_table(file) for file in files]
    _check_same_columns(files, parts)
    return concat(parts)


def get_recording_path(folder: str, seed: int, iteration: int) -> Path:
    """Return where an agent of this seed records the rollout of an iteration."""
    return Path(folder) / f"seed-{seed:06d}" / f"iteration-{iteration:06d}.parquet"


def delete_later_recordings(folder: str, seed: int, iteration: int) -> None:
    """Delete what was recorded after an iteration that training goes back to."""
    last = get_recording_path(folder, seed, iteration)
    for file in last.parent.glob("iteration-*.parquet"):
        if file.name[: len(last.stem)] > last.stem:
            file.unlink(missing_ok=True)


def list_recordings_near(path: Path) -> list[Path]:
    """List the folders of recordings around a path that does not exist."""
    near = next(folder for folder in path.absolute().parents if folder.is_dir())
    # At most two folders deep, as it may be the root of the disk.
    return [path for depth in ("", "*/", "*/*/") for path in sorted(near.glob(f"{depth}seed-*"))]


def _write_table(rows: Columns, path: Path, about: Mapping[str, str], *, side: bool) -> None:
    facts = {
        "version": SCHEMA,
        "about": about,
        "side": side,
        "tables": list(rows.tables),
        "columns": {name: _describe(column) for name, column in rows.rows.items()},
    }
    arrays = {name: _to_arrow(name, column) for name, column in rows.rows.items()}
    table = pa.table(arrays, metadata={_KEY: json.dumps(facts)})
    # Side tables come first, so that the main file never exists without what belongs to it.
    for name, below in rows.tables.items():
        _write_table(below, _side_table_path(path, name), about, side=True)
    with replace_whole(path) as unfinished:
        pq.write_table(table, unfinished)


def _side_table_path(path: Path, table: str) -> Path:
    return path.with_name(f"{path.stem}.{table}.parquet")


def _describe(column: Column) -> dict[str, Any]:
    """Return what Arrow's types do not record of one column."""
    ragged = isinstance(column, Ragged)
    values = np.asarray(column.values if ragged else column)
    offsets = np.asarray(column.offsets).dtype.str if ragged else None
    return {"dtype": values.dtype.str, "shape": values.shape[1:], "offsets": offsets}


def _to_arrow(name: str, column: Column) -> Any:
    if not isinstance(column, Ragged):
        return _to_fixed_width_arrow(name, np.asarray(column))
    offsets = pa.array(np.asarray(column.offsets), pa.int64())
    return pa.LargeListArray.from_arrays(
        offsets, _to_fixed_width_arrow(name, np.asarray(column.values))
    )


def _to_fixed_width_arrow(name: str, values: Array) -> Any:
    """Return ``[M, ...]`` as M plain values, or as M lists of the same length."""
    if values.dtype.char not in _STORABLE_DTYPES or not values.dtype.isnative:
        raise InputError(
            f"Column {name!r} has the dtype {values.dtype}, which Parquet cannot keep exactly; "
            "convert it to numbers of at most 64 bits, true/false or text."
        )
    flat = pa.array(values.reshape(-1))
    if values.ndim == 1:
        return flat
    if (width := math.prod(values.shape[1:])) == 0:
        # Parquet writes lists of the fixed length 0, but cannot read them.
        return pa.LargeListArray.from_arrays(pa.array(np.zeros(len(values) + 1, np.int64)), flat)
    return pa.FixedSizeListArray.from_arrays(flat, width)


def _read_metadata(path: Path) -> dict[str, Any]:
    """Read the JSON that :func:`_write_table` put into the file's schema."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as a Parquet file ({error}).") from error
    if _KEY not in metadata:
        raise InputError(
            f"{path} was not written by Rungwise: its schema has no {_KEY.decode()!r} metadata. "
            "Make a Columns of its columns and write that with algos.rollouts.rollout_io.write."
        )
    facts = json.loads(metadata[_KEY])
    if facts["version"] > SCHEMA:
        raise InputError(
            f"{path} has version {facts['version']} of the format, but this Rungwise reads up to "
            f"{SCHEMA}; update Rungwise."
        )
    return facts


def _read_table(path: Path) -> Columns:
    facts = _read_metadata(path)
    # ParquetFile and not read_table, which makes columns of folders that are named like seed=3.
    with pq.ParquetFile(path) as file:
        table = file.read()
    rows = {name: _column(table[name], about) for name, about in facts["columns"].items()}
    return Columns(rows, {name: _read_side(path, name) for name in facts["tables"]})


def _read_side(path: Path, table: str) -> Columns:
    side = _side_table_path(path, table)
    if not side.exists():
        raise InputError(f"{path} needs its side table {side.name}, which is not next to it.")
    return _read_table(side)


def _column(chunks: Any, facts: Mapping[str, Any]) -> Column:
    array = chunks.combine_chunks()
    if facts["offsets"] is None:
        return _values(array, facts)
    offsets = array.offsets.to_numpy()
    return Ragged(_values(array.flatten(), facts), (offsets - offsets[0]).astype(facts["offsets"]))


def _values(array: Any, facts: Mapping[str, Any]) -> Array:
    shape = (len(array), *facts["shape"])
    flat = array.flatten() if facts["shape"] else array
    # astype copies: Arrow's own buffers are read-only.
    return flat.to_numpy(zero_copy_only=False).astype(facts["dtype"]).reshape(shape)


def _check_same_columns(files: Sequence[Path], parts: Sequence[Columns]) -> None:
    """Refuse files of different columns, which numpy and concat would merge without an error."""
    first = _describe_columns(parts[0])
    for file, part in zip(files, parts, strict=True):
        kinds = _describe_columns(part)
        for name in sorted(first.keys() | kinds.keys()):
            actual, expected = kinds.get(name, "missing"), first.get(name, "missing")
            if actual != expected:
                raise InputError(
                    f"The recordings of one folder must have the same columns, but {name!r} is "
                    f"{actual} in {file} and {expected} in {files[0].name}; use a folder for each."
                )


def _describe_columns(rows: Columns, under: str = "") -> dict[str, str]:
    """Return dtype and shape by column name, side tables included; text widths are ignored."""
    kinds: dict[str, str] = {}
    for name, column in rows.rows.items():
        values = column.values if isinstance(column, Ragged) else column
        dtype = values.dtype if values.dtype.kind not in "US" else values.dtype.type.__name__
        ragged = "ragged " if isinstance(column, Ragged) else ""
        kinds[under + name] = f"{ragged}{dtype} {['N', *values.shape[1:]]}".replace("'", "")
    for name, table in rows.tables.items():
        kinds |= _describe_columns(table, f"{under}{name}.")
    return kinds
