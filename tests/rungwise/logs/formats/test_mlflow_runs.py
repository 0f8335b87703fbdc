"""Runs of MLflow, as its client writes them: folders and a database."""

import sqlite3

import pytest

from rungwise.logs.discovery import find_readers
from rungwise.logs.read_logs import read_logs


def log_run(root, values):
    run = root / "mlruns" / "0" / "abc"
    (run / "metrics" / "losses").mkdir(parents=True, exist_ok=True)
    (root / "mlruns" / "0" / "meta.yaml").write_text("experiment_id: '0'\n")
    (run / "meta.yaml").write_text("run_id: abc\nstatus: 1\n")
    with (run / "metrics" / "losses" / "entropy").open("a") as file:
        file.writelines(f"1700000000000 0.5 {step}\n" for step, _ in values)
    with (run / "metrics" / "reward").open("a") as file:
        file.writelines(f"1700000000000 {value} {step}\n" for step, value in values)


def test_a_folder_of_metrics_is_a_run(tmp_path):
    log_run(tmp_path, [(100 * i, float(i)) for i in range(1, 11)])
    (log,) = read_logs(tmp_path)
    assert (log.name, log.format) == ("mlruns/0/abc", "MLflow run")
    assert [row["return_mean"] for row in log.rows] == list(range(1, 11))
    assert log.rows[0]["entropy"] == 0.5
    (reader,) = find_readers(tmp_path)
    assert len(reader.read()) == 9
    log_run(tmp_path, [(1100, 11.0)])
    assert [r.values["reward"] for r in reader.read()] == [10.0]


def test_a_database_holds_a_log_for_each_run(tmp_path):
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute(
            "CREATE TABLE metrics (key TEXT, value REAL NOT NULL, timestamp INTEGER, "
            "run_uuid TEXT, step INTEGER, is_nan INTEGER)"
        )
        rows = [("reward", float(i), 0, run, 100 * i, 0) for i in range(9) for run in ("b", "a")]
        rows.append(("reward", 0.0, 0, "a", 900, 1))
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
    first, second = read_logs(tmp_path)
    assert [first.name[-2:], second.name[-2:]] == ["/b", "/a"]
    assert len(first.rows) == 9
    reader = find_readers(tmp_path)[1]
    assert len(reader.read()) == 9
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("INSERT INTO metrics VALUES ('reward', 7.0, 0, 'a', 1000, 0)")
    assert len(reader.read()) == 1
    assert reader.read(final=True)[-1].values["reward"] == 7.0


def test_another_database_is_no_log(tmp_path):
    with sqlite3.connect(tmp_path / "own.db") as database:
        database.execute("CREATE TABLE own (a INTEGER)")
    assert find_readers(tmp_path) == []


@pytest.mark.slow
def test_runs_of_the_real_client_are_read_from_both_stores(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # it advises against files by now
    for uri in (f"file:{tmp_path}/store/mlruns", f"sqlite:///{tmp_path}/mlflow.db"):
        mlflow.set_tracking_uri(uri)
        with mlflow.start_run():
            for step in range(100, 1100, 100):
                mlflow.log_metrics({"reward": step / 10, "losses/entropy": 0.5}, step=step)
    logs = read_logs(tmp_path)
    assert sorted(log.format for log in logs) == ["MLflow database", "MLflow run"]
    assert all(log.rows == logs[0].rows and len(log.rows) == 10 for log in logs)
