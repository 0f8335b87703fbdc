"""Lines of JSON that have some of the metrics each."""

import json

import pytest

from tune_jobs.foreign_logs.discovery import find_readers

EPISODES = [{"step": 100 * i, "episode/score": 1.0 * i, "episode/length": 9} for i in range(1, 21)]
UPDATES = [{"step": 100 * i + 7, "train/loss/policy": 0.5, "train/ret": 1} for i in range(5, 21, 5)]


def test_lines_of_dreamer_are_joined_by_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = sorted(EPISODES + UPDATES, key=lambda line: line["step"])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (reader,) = find_readers(path)
    records = reader.read(final=True)
    assert reader.name == "sparse JSON lines"
    assert sum(record.values.get("episode/score", 0) for record in records) == 210
    assert any({"episode/score", "train/loss/policy"} <= record.values.keys() for record in records)


@pytest.mark.parametrize("name", ["metrics.jsonl", "log.jsonl"])
def test_lines_with_all_metrics_are_rows(tmp_path, name):
    lines = [{"step": i, "reward": 1.0, "loss": 2.0} for i in range(9)]
    (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (reader,) = find_readers(tmp_path)
    assert reader.name == "JSON lines" and len(reader.read(final=True)) == 9
