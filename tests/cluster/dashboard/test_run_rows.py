# pyright: basic, reportOptionalSubscript=false, reportArgumentType=false, reportOperatorIssue=false
"""The rows of the list of runs."""

import json

from dashboard_app import write
from synthetic_sweep import job_row, synthetic_rows

from cluster.dashboard.run_rows import RunRows
from tune_jobs.jobs.job_yaml import list_changes, make_job
from tune_jobs.run_log.event_log import EventLog
from tune_jobs.run_log.events import JobEndRow


def test_figures_follow_the_list_and_are_read_again_when_a_log_grows(tmp_path):
    runs = [write(tmp_path / name, synthetic_rows()) for name in ("a", "b")]
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "job.yaml").write_text("env: CartPole-v1\n")
    rows = RunRows()
    places = [*runs, tmp_path / "prepared"]
    listed = rows.list_rows(places)
    assert [row["run"] for row in listed] == ["a", "b", "prepared"]
    assert listed[0]["algorithm"] == "ppo" and "best" not in listed[0]
    read = []
    while (row := rows.read_next()) is not None:
        read.append(row["run"])
    assert read == ["a", "b", "prepared"]
    first = rows.list_rows(places)[0]
    assert 0 < first["best"] < 0.1 and 0 < first["saved"] < 1 and first["bytes"] > 1000
    assert first["findings"] and len(first["curve"]) > 5 and rows.read_next() is None
    EventLog(runs[1] / "events.jsonl").append(JobEndRow(reason="done", seconds=9.0))
    rows.list_rows(places)
    assert rows.read_next()["run"] == "b" and rows.read_next() is None
    json.dumps(rows.list_rows(places), allow_nan=False)


def test_the_tags_of_a_job_are_in_its_row_before_its_log_is_read(tmp_path):
    sweep = make_job({"env": "CartPole-v1", "tags": "baseline, wide"})
    run = write(tmp_path / "a", [job_row(changes=list_changes(sweep))])
    assert RunRows().list_rows([run])[0]["tags"] == "baseline, wide"


def test_a_damaged_log_is_a_row_without_figures(tmp_path):
    write(tmp_path / "a", []).joinpath("events.jsonl").write_text("{\n")
    rows = RunRows()
    rows.list_rows([tmp_path / "a"])
    assert "best" not in rows.read_next()
