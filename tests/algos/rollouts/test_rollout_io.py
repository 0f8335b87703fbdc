# pyright: basic
"""Recordings: what is written comes back to the bit, and what cannot be read is refused."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algos.rollouts import rollout_io
from algos.rollouts.columns import Column, Columns, Ragged
from rungwise.validation import InputError

EXAMPLES = settings(derandomize=True, max_examples=30)
DTYPES = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64 U3 S2"


def same_array(a, b):
    assert (type(a), a.dtype, a.shape) == (type(b), b.dtype, b.shape)
    # Bytes, so that every NaN and -0.0 counts.
    assert a.tobytes() == b.tobytes()
    assert a.flags.writeable


def same(a, b):
    assert list(a) == list(b) and list(a.tables) == list(b.tables)
    for name in a:
        assert isinstance(a[name], Ragged) == isinstance(b[name], Ragged)
        if isinstance(a[name], Ragged):
            same_array(a[name].values, b[name].values)
            same_array(a[name].offsets, b[name].offsets)
        else:
            same_array(a[name], b[name])
    for name in a.tables:
        same(a.tables[name], b.tables[name])


def values(draw, count):
    """``[count, ...]`` of any dtype and any bits, with NaN and infinity among the numbers."""
    shape = (count, *draw(st.lists(st.integers(0, 3), max_size=2)))
    dtype = draw(st.sampled_from(DTYPES.split()))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    if dtype in ("bool", "U3", "S2"):
        return random.integers(0, 2, shape).astype(dtype)
    return np.frombuffer(random.bytes(np.zeros(shape, dtype).nbytes), dtype).reshape(shape)


@st.composite
def tables(draw):
    count = draw(st.integers(0, 4))
    rows: dict[str, Column] = {}
    for i in range(draw(st.integers(0, 3))):
        rows[f"dense {i}"] = values(draw, count)
    for i in range(draw(st.integers(0, 2))):
        lengths = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
        offsets = np.cumsum([0, *lengths]).astype(draw(st.sampled_from(["int64", "int32"])))
        rows[f"ragged {i}"] = Ragged(values(draw, int(offsets[-1])), offsets)
    return Columns(rows)


def steps(first=0, ids=(7, 3, 7), **columns):
    """Three steps about graphs, which are described in a side table."""
    graphs = Columns(
        {
            "id": np.array([3, 7]),
            "edges": Ragged.from_rows([np.array([[1, 2]]), np.zeros((0, 2), int)]),
        }
    )
    rows = {
        "graph": np.array(ids),
        "reward": np.arange(first, first + len(ids), dtype=np.float32),
        "obs": np.arange(6 * len(ids), dtype=np.float32).reshape(-1, 2, 3),
        "path": Ragged.from_rows([np.array([1]), np.array([], int), np.array([2, 3])]),
    }
    return Columns({**rows, **columns}, {"graph": graphs})


@EXAMPLES
@given(tables())
def test_every_value_dtype_shape_and_offset_comes_back_as_it_was(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        rollout_io.write_columns(rows, path)
        same(rollout_io.read_columns(path), rows)
        assert all(column.null_count == 0 for column in pq.read_table(path).columns)


def test_side_tables_lie_next_to_the_file_and_come_back_with_it(tmp_path):
    rollout_io.write_columns(steps(), tmp_path / "a" / "run.parquet")
    names = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert names == ["run.graph.parquet", "run.parquet"]
    same(rollout_io.read_columns(tmp_path / "a" / "run.parquet"), steps())
    same(rollout_io.read_columns(tmp_path / "a"), steps())
    same(rollout_io.read_columns(tmp_path / "a" / "run.graph.parquet"), steps().tables["graph"])


def test_side_tables_may_have_side_tables(tmp_path):
    graphs = steps(ids=(3, 7, 7), id=np.arange(3))
    rows = Columns({"level": np.array([2, 0])}, {"level": graphs})
    rollout_io.write_columns(rows, tmp_path / "run.parquet")
    same(rollout_io.read_columns(tmp_path), rows)
    assert (tmp_path / "run.level.graph.parquet").is_file()


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    for name, first in [("b", 10), ("a.b", 5), ("a", 0)]:
        rollout_io.write_columns(steps(first), tmp_path / f"{name}.parquet")
    rows = rollout_io.read_columns(tmp_path)
    # "a.b" is a main file in spite of its name.
    assert rows["reward"].tolist() == [5, 6, 7, 0, 1, 2, 10, 11, 12]
    assert rows["reward"].dtype == np.float32
    assert rows["path"].offsets.tolist() == [0, 1, 1, 3, 4, 4, 6, 7, 7, 9]
    assert rows.look_up("graph")["id"].tolist() == [7, 3, 7] * 3


def test_texts_of_different_width_may_lie_in_one_folder(tmp_path):
    for name in ("a", "bcd"):
        rollout_io.write_columns(Columns({"text": np.array([name])}), tmp_path / f"{name}.parquet")
    assert rollout_io.read_columns(tmp_path)["text"].tolist() == ["a", "bcd"]


def test_tensors_are_written_like_arrays(tmp_path):
    rollout_io.write_columns(steps().to_torch(), tmp_path / "run.parquet")
    same(rollout_io.read_columns(tmp_path), steps())


def test_offsets_into_the_middle_of_values_keep_the_rows(tmp_path):
    rows = Columns({"x": Ragged(np.arange(6), np.array([2, 3, 5]))})
    rollout_io.write_columns(rows, tmp_path / "x.parquet")
    x = rollout_io.read_columns(tmp_path)["x"]
    assert (x.values.tolist(), x.offsets.tolist()) == ([2, 3, 4], [0, 1, 3])


def test_rows_in_several_row_groups_are_read_as_one(tmp_path, monkeypatch):
    whole = pq.write_table
    monkeypatch.setattr(pq, "write_table", lambda *args: whole(*args, row_group_size=1))
    rollout_io.write_columns(steps(), tmp_path / "run.parquet")
    assert pq.ParquetFile(tmp_path / "run.parquet").num_row_groups == 3
    same(rollout_io.read_columns(tmp_path), steps())


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path):
    path = tmp_path / "reward=3" / "run.parquet"
    rollout_io.write_columns(steps(), path)
    same(rollout_io.read_columns(path), steps())


def test_other_programs_read_the_rows_and_what_they_are_about(tmp_path):
    rollout_io.write_columns(steps(), tmp_path / "run.parquet", env="Edges-v0")
    table = pq.read_table(tmp_path / "run.parquet")
    assert table["reward"].to_pylist() == [0, 1, 2]
    assert table["obs"].to_pylist()[1] == [6, 7, 8, 9, 10, 11]
    assert table["path"].to_pylist() == [[1], [], [2, 3]]
    assert table.schema.field("obs").type == pa.list_(pa.float32(), 6)
    facts = json.loads(table.schema.metadata[b"rungwise"])
    assert (facts["version"], facts["about"]) == (rollout_io.SCHEMA, {"env": "Edges-v0"})
    assert facts["columns"]["obs"]["shape"] == [2, 3]


def test_pandas_reads_the_rows_in_one_line(tmp_path):
    pandas = pytest.importorskip("pandas")
    rollout_io.write_columns(steps(), tmp_path / "run.parquet")
    frame = pandas.read_parquet(tmp_path / "run.parquet")
    assert frame["reward"].dtype == np.float32
    assert [list(path) for path in frame["path"]] == [[1], [], [2, 3]]


def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "run.parquet"
    rows = Columns({"x": np.arange(3)})
    rollout_io.write_columns(rows, path)

    def full(_table, where):
        where.write_bytes(b"PAR1 half")
        raise OSError("no space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="no space"):
        rollout_io.write_columns(Columns({"x": np.zeros(9)}), path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.parquet"]
    same(rollout_io.read_columns(path), rows)


def test_a_process_killed_while_writing_leaves_no_recording(tmp_path, monkeypatch):
    rollout_io.write_columns(steps(), tmp_path / "a.parquet")
    seen = []

    def half(_table, where):
        where.write_bytes(b"PAR1 half")
        # What is on disk now is what a kill would leave.
        seen.append(sorted(tmp_path.glob("*.parquet")))
        same(rollout_io.read_columns(tmp_path), steps())

    monkeypatch.setattr(pq, "write_table", half)
    rollout_io.write_columns(Columns({"x": np.arange(3)}), tmp_path / "b.parquet")
    assert seen == [[tmp_path / "a.graph.parquet", tmp_path / "a.parquet"]]


@pytest.mark.parametrize("dtype", ["complex64", ">f4", "datetime64[s]", "longdouble", "i4,f4"])
def test_a_dtype_that_parquet_cannot_keep_is_refused(tmp_path, dtype):
    rows = steps(speed=np.zeros(3, dtype))
    with pytest.raises(InputError, match=r"Column 'speed' has the dtype .* convert it to numbers"):
        rollout_io.write_columns(rows, tmp_path / "run.parquet")
    assert not list(tmp_path.iterdir())


def test_python_objects_in_uneven_rows_are_refused(tmp_path):
    rows = Columns({"x": Ragged(np.array([None, {}], object), np.array([0, 2]))})
    with pytest.raises(InputError, match="Column 'x' has the dtype object"):
        rollout_io.write_columns(rows, tmp_path / "run.parquet")


def test_a_name_that_a_folder_would_not_find_again_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.parquet, but it is 'run\.pq'"):
        rollout_io.write_columns(steps(), tmp_path / "run.pq")


def without(name):
    """Return a function that writes a recording into a folder and removes one of its files."""

    def arrange(folder):
        rollout_io.write_columns(steps(), folder / "run.parquet")
        (folder / name).unlink()

    return arrange


@pytest.mark.parametrize(
    ("arrange", "sentence"),
    [
        (lambda folder: folder.rmdir(), "There is no recording at .*folder; give a Parquet"),
        (lambda folder: None, "holds no recordings"),
        (without("run.parquet"), "holds no recordings"),
        (without("run.graph.parquet"), r"needs its side table run\.graph\.parquet"),
        (
            lambda folder: (folder / "run.parquet").write_text("reward\n1\n"),
            r"run\.parquet cannot be read as a Parquet file",
        ),
        (
            lambda folder: pq.write_table(pa.table({"reward": [1.0]}), folder / "theirs.parquet"),
            r"theirs\.parquet was not written by Rungwise",
        ),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, arrange, sentence):
    folder = tmp_path / "folder"
    folder.mkdir()
    arrange(folder)
    with pytest.raises(InputError, match=sentence):
        rollout_io.read_columns(folder)


def test_a_file_of_a_newer_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rollout_io, "SCHEMA", 2)
    rollout_io.write_columns(steps(), tmp_path / "run.parquet")
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"has version 2 .* reads up to 1; update Rungwise"):
        rollout_io.read_columns(tmp_path)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (steps(more=np.zeros(3)), r"'more' is float64 \[N\] in .*b.parquet and missing in a.par"),
        (steps(reward=np.zeros(3)), r"'reward' is float64 \[N\] in .* and float32 \[N\] in"),
        (steps(obs=np.zeros((3, 3, 2), "f4")), r"'obs' is float32 \[N, 3, 2\] in"),
        (steps(path=np.zeros(3, int)), r"'path' is int64 \[N\] in .* and ragged int64 \[N\] in"),
        (Columns(steps().rows), r"'graph.edges' is missing in"),
    ],
)
def test_files_with_different_columns_in_one_folder_are_refused(tmp_path, other, sentence):
    rollout_io.write_columns(steps(), tmp_path / "a.parquet")
    rollout_io.write_columns(other, tmp_path / "b.parquet")
    with pytest.raises(InputError, match=sentence):
        rollout_io.read_columns(tmp_path)
