"""A JSON document that is no lines."""

import gzip
import json

import pytest
from paths import DATA

from rungwise.logs.discovery import find_readers
from rungwise.logs.formats.json_document import find_rows
from rungwise.logs.formats.json_lines import JsonLinesReader
from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError

D10 = DATA / "strangers" / "d10_state"
ROWS = [{"step": i, "reward": 1.5 * i} for i in range(6)]


@pytest.mark.parametrize(
    ("name", "count", "column", "ends"),
    [
        ("columns.json", 100, "rewards", (-20.3353, 15.0147)),
        ("history.json", 100, "total_reward", (-20.0244, 17.2188)),
        ("training_log.json", 60, "reward", (0.1075, 0.7963)),
    ],
)
def test_documents_of_strangers_are_rows(name, count, column, ends):
    (reader,) = find_readers(D10 / name)
    records = reader.read(final=True)
    assert (reader.name, len(records), reader.damage) == ("JSON document", count, "")
    assert (records[0].values[column], records[-1].values[column]) == ends


@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        {"run": {"seed": 1, "history": ROWS}, "tags": ["a", "b"]},
        {"step": [*range(6)], "reward": [1.5 * i for i in range(6)], "lr": 0.1},
        {"train": {"step": [*range(6)], "reward": [1.5 * i for i in range(6)]}},
        {"eval": [{"n": 1}] * 9, "train": ROWS},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_rows_are_found_wherever_they_are(tmp_path, data, indent):
    (tmp_path / "log.json").write_text(json.dumps(data, indent=indent))
    (log,) = read_logs(tmp_path)
    assert log.format == "JSON document"
    assert [row["return_mean"] for row in log.rows] == [1.5 * i for i in range(6)]


@pytest.mark.parametrize(
    "text", ['{"step": 1, "reward": 2.0, "hist": [1, 2]}\n', '{"step": 1}\n{"step": 2}\n', "{}\n"]
)
def test_lines_of_json_are_no_document(tmp_path, text):
    path = tmp_path / "log.json"
    path.write_text(text)
    (reader,) = find_readers(path)
    assert type(reader) is JsonLinesReader


@pytest.mark.parametrize("text", ['{\n "lr": 0.1\n}', "[]", "[1]", '[{"seed": 1}]', '[\n"a"\n]'])
def test_valid_json_without_rows_is_called_so(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError, match="valid JSON, but has neither a list of objects"):
        read_logs(path)
    assert find_readers(tmp_path) == []


def test_published_scores_are_a_run_for_each_curve(tmp_path):
    curves = [
        {"task": task, "method": "ours", "seed": seed, "xs": [*range(0, 80, 10)], "ys": [i] * 8}
        for i, (task, seed) in enumerate([("pong", 0), ("pong", 1), ("qbert", 0)])
    ]
    with gzip.open(tmp_path / "scores.json.gz", "wt") as file:
        json.dump(curves, file)
    logs = read_logs(tmp_path / "scores.json.gz")
    assert [len(log.rows) for log in logs] == [8, 8, 8]
    assert [log.rows[0]["return_mean"] for log in logs] == [0, 1, 2]


def test_a_document_that_grows_is_read_again(tmp_path):
    path = tmp_path / "log.json"
    path.write_text(json.dumps(ROWS[:3], indent=1))
    (reader,) = find_readers(path)
    assert len(reader.read()) == 3
    path.write_text(json.dumps(ROWS, indent=1)[:-20])
    assert reader.read() == [] and not reader.damage
    path.write_text(json.dumps(ROWS, indent=1))
    assert [record.values["step"] for record in reader.read(final=True)] == [3, 4, 5]


def test_scalars_are_no_rows():
    assert find_rows(3) == find_rows("a") == find_rows(None) == find_rows({"a": [1], "b": 2}) == []
