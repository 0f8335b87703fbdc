"""Every format returns what was added to its files, and in the end what a finished log has."""

import json
import shutil

import pytest
from foreign_logs import read_rllib_results, write_csv, write_results

from rungwise.logs.discovery import find_readers
from rungwise.logs.formats import FORMATS

ROWS = [
    {"time/total_timesteps": 100 * i, "time/iterations": i, "rollout/ep_rew_mean": 20.5 + i}
    for i in range(1, 31)
]


def write_table(root):
    return write_csv(root / "progress.csv", ROWS)


def write_lines(root):
    return write_results(root / "result.json", read_rllib_results())


def write_jsonl(root):
    return write_results(root / "metrics.jsonl", [{"step": i, "reward": 2.0 * i} for i in range(9)])


def write_monitor(root):
    path = root / "monitor.csv"
    path.write_text("#{}\nr,l,t\n" + "".join(f"{i % 7},10,{i}\n" for i in range(60)))
    return path


def write_console(root):
    path = root / "console.log"
    path.write_text("Loading\n" + "".join(f"{{'loss': 0.1, 'reward': '{i}'}}\n" for i in range(9)))
    return path


def begin(path, text):
    """The reader of a log that begins with this text."""
    path.write_text(text)
    (reader,) = find_readers(path)
    return reader


def append(path, text):
    with path.open("a") as file:
        file.write(text)


@pytest.mark.parametrize(
    "write", [write_table, write_lines, write_jsonl, write_monitor, write_console]
)
@pytest.mark.parametrize("piece", [7, 64, 1000])
def test_pieces_of_a_growing_file_are_the_records_of_the_whole(tmp_path, write, piece):
    (tmp_path / "whole").mkdir()
    path = write(tmp_path / "whole")
    data = path.read_bytes()
    (whole,) = find_readers(path)
    grown = tmp_path / path.name
    shutil.copy(path, grown)
    (reader,) = find_readers(grown)
    grown.write_bytes(b"")
    records = []
    for at in range(0, len(data), piece):
        with grown.open("ab") as file:
            file.write(data[at : at + piece])
        records += reader.read()
    records += reader.read(final=True)
    assert not reader.damage and reader.read() == []
    assert [dict(r.values) for r in records] == [dict(r.values) for r in whole.read(final=True)]


def test_one_read_takes_no_more_than_the_limit(tmp_path):
    path = write_csv(tmp_path / "a.csv", [{"step": i, "reward": float(i)} for i in range(2000)])
    (reader,) = find_readers(path)
    reader.limit = 4000
    counts = []
    while True:
        counts.append(len(reader.read()))
        if not reader.behind:
            break
    assert sum(counts) == 2000
    assert max(counts) < 600


def test_a_header_that_comes_again_is_no_row(tmp_path):
    reader = begin(tmp_path / "a.csv", "step,reward\n1,2\n")
    assert len(reader.read()) == 1
    append(tmp_path / "a.csv", "step,reward\n2,3\n")
    assert [record.values["reward"] for record in reader.read()] == [3.0]


def test_a_table_written_again_with_a_new_column_repeats_no_row(tmp_path):
    path = tmp_path / "progress.csv"
    reader = begin(path, "step,reward\n1,2\n2,3\n")
    assert len(reader.read()) == 2
    # What SB3 does in place when a later row has one more metric.
    with path.open("r+") as file:
        file.write("step,reward,loss\n1,2,\n2,3,\n3,4,0.5\n")
    (record,) = reader.read()
    assert record.values == {"step": 3.0, "reward": 4.0, "loss": 0.5}


def test_a_row_with_a_line_break_in_quotes_waits_for_its_end(tmp_path):
    reader = begin(tmp_path / "a.csv", 'step,note,reward\n1,"two\n')
    assert reader.read() == []
    append(tmp_path / "a.csv", 'lines",5\n')
    (record,) = reader.read()
    assert record.values["reward"] == 5.0


@pytest.mark.parametrize("next_is_sound", [True, False])
def test_a_broken_line_is_left_out_where_the_next_is_sound(tmp_path, next_is_sound):
    path = tmp_path / "metrics.jsonl"
    reader = begin(path, json.dumps({"reward": 1}) + "\n{broken\n")
    assert len(reader.read()) == 1 and not reader.damage
    append(path, (json.dumps({"reward": 2}) if next_is_sound else "{broken, too") + "\n")
    assert len(reader.read()) == next_is_sound
    expected = (
        (reader.left_out, reader.damage) if next_is_sound else (reader.damage, reader.left_out)
    )
    assert "line 2 is not JSON" in expected[0] and not expected[1]


def test_formats_have_names_of_their_own():
    assert len({form.name for form in FORMATS}) == len(FORMATS)
