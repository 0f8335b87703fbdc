"""Lines of JSON that have some of the metrics each."""

import json

import pytest

from rungwise.logs.discovery import find_readers
from rungwise.logs.read_logs import read_logs
from tune_jobs.audit.audit import audit
from tune_jobs.audit.replayed_run import JudgingOptions

EPISODES = [{"step": 100 * i, "episode/score": 1.0 * i, "episode/length": 9} for i in range(1, 21)]
UPDATES = [{"step": 100 * i + 7, "train/loss/policy": 0.5, "train/ret": 1} for i in range(5, 21, 5)]


def test_lines_of_dreamer_are_rows_of_their_episodes(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path))
    path = tmp_path / "run" / "metrics.jsonl"
    path.parent.mkdir()
    lines = sorted(EPISODES + UPDATES, key=lambda line: line["step"])
    path.write_text("".join(json.dumps(line) + "\n" for line in UPDATES[:1] * 30 + lines))
    (log,) = read_logs(path.parent)
    assert sum(row.get("return_mean", 0) for row in log.rows) == 210
    (run,) = audit([path.parent], JudgingOptions(), workers=1).judged
    assert run.stop is None


@pytest.mark.parametrize("name", ["metrics.jsonl", "log.jsonl"])
def test_lines_with_all_metrics_are_rows(tmp_path, name):
    lines = [{"step": i, "reward": 1.0, "loss": 2.0} for i in range(9)]
    (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (reader,) = find_readers(tmp_path)
    assert reader.name == "JSON lines" and len(reader.read(final=True)) == 9
